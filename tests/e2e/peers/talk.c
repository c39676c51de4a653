/* A client inside a container: connects to the stream socket PATH, says WORD, and copies what it hears to its standard output
   until the server hangs up. Statically linked, so that it needs nothing of the image. */

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char heard[4096];
    ssize_t len;
    int client;

    if (argc != 3 || strlen(argv[1]) >= sizeof address.sun_path) {
        fprintf(stderr, "usage: talk PATH WORD\n");
        return 2;
    }
    strcpy(address.sun_path, argv[1]);
    client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0 || connect(client, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("talk");
        return 1;
    }
    if (send(client, argv[2], strlen(argv[2]), MSG_NOSIGNAL) < 0) {
        perror("talk");
        return 1;
    }
    while ((len = read(client, heard, sizeof heard)) > 0)
        if (write(STDOUT_FILENO, heard, len) != len)
            return 1;
    return 0;
}

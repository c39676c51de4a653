/* A program inside a container, statically linked, so that it needs nothing of the image.
 *
 *   talk PATH WORD    connects to the stream socket PATH, says WORD, and copies what it hears to its standard output until the server
 *                     hangs up
 *   talk --serve PATH listens there, and holds on to each client that comes
 */

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int serve(int listener, struct sockaddr_un *address)
{
    if (bind(listener, (struct sockaddr *)address, sizeof *address) != 0 || listen(listener, 16) != 0) {
        perror("talk");
        return 1;
    }
    while (accept(listener, NULL, NULL) >= 0)
        ;
    return 1;
}

static int say(int client, struct sockaddr_un *address, const char *word)
{
    char heard[4096];
    ssize_t len;

    if (connect(client, (struct sockaddr *)address, sizeof *address) != 0 ||
        send(client, word, strlen(word), MSG_NOSIGNAL) < 0) {
        perror("talk");
        return 1;
    }
    while ((len = read(client, heard, sizeof heard)) > 0)
        if (write(STDOUT_FILENO, heard, len) != len)
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int serves = argc == 3 && strcmp(argv[1], "--serve") == 0;
    const char *path = argc == 3 ? argv[serves ? 2 : 1] : "";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (argc != 3 || strlen(path) >= sizeof address.sun_path || fd < 0) {
        fprintf(stderr, "usage: talk PATH WORD | talk --serve PATH\n");
        return 2;
    }
    strcpy(address.sun_path, path);
    return serves ? serve(fd, &address) : say(fd, &address, argv[2]);
}

/* The least that is needed to find the owners of sockets: reads every link in /proc/PID/fd, and prints how many are sockets.
 * It reads no table of sockets and no names, and prints nothing else. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct entry {
    unsigned long ino;
    long next;
    unsigned short length;
    unsigned char type;
    char name[];
};

static long sockets;

static void count_sockets(int proc, const char *pid)
{
    char path[64], link[64], entries[32768];
    long got;
    snprintf(path, sizeof path, "%s/fd", pid);
    int directory = openat(proc, path, O_RDONLY | O_DIRECTORY);
    if (directory < 0)
        return;
    while ((got = syscall(SYS_getdents64, directory, entries, sizeof entries)) > 0)
        for (long at = 0; at < got;) {
            struct entry *entry = (struct entry *)(entries + at);
            at += entry->length;
            if (entry->name[0] != '.' && readlinkat(directory, entry->name, link, sizeof link) > 8)
                sockets += !memcmp(link, "socket:[", 8);
        }
    close(directory);
}

int main(void)
{
    char entries[32768];
    long got;
    int proc = open("/proc", O_RDONLY | O_DIRECTORY);
    while ((got = syscall(SYS_getdents64, proc, entries, sizeof entries)) > 0)
        for (long at = 0; at < got;) {
            struct entry *entry = (struct entry *)(entries + at);
            at += entry->length;
            if (entry->name[0] >= '0' && entry->name[0] <= '9')
                count_sockets(proc, entry->name);
        }
    printf("%ld\n", sockets);
    return 0;
}

/* The least a program can do to find who has which socket open: reads every link in /proc/PID/fd, counts those of sockets, and
 * prints the count. No table of sockets, no names, no output for each. */
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

static void look_at(int proc, const char *pid)
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
                look_at(proc, entry->name);
        }
    printf("%ld\n", sockets);
    return 0;
}

/* The baseline of the `blocking` benchmark: the same two workloads with raw system calls.
 * Called as `blocking serve|connect pingpong|oneway PATH ROUNDS WARMUP`; the mirror of src/bin/blocking/work.rs.
 * The server prints "ready" when it listens; the client prints the nanoseconds that the rounds took. */
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE = 64, CHUNK = 65536 };

static void fail(const char *what) {
    fprintf(stderr, "blocking.c: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void check(const unsigned char *message, uint64_t number) {
    uint64_t head, tail;
    memcpy(&head, message, 8);
    memcpy(&tail, message + MESSAGE - 8, 8);
    if (head != number || tail != ~number) {
        fprintf(stderr, "blocking.c: message %" PRIu64 " arrived as %" PRIu64 "\n", number, head);
        exit(1);
    }
}

static void send_number(int fd, unsigned char *message, uint64_t number) {
    uint64_t tail = ~number;
    memcpy(message, &number, 8);
    memcpy(message + MESSAGE - 8, &tail, 8);
    for (size_t done = 0; done < MESSAGE;) {
        ssize_t n = write(fd, message + done, MESSAGE - done);
        if (n < 0 && errno != EINTR) fail("write");
        if (n > 0) done += (size_t)n;
    }
}

static void receive_number(int fd, unsigned char *message, uint64_t number) {
    for (size_t done = 0; done < MESSAGE;) {
        ssize_t n = read(fd, message + done, MESSAGE - done);
        if (n == 0) fail("end of stream");
        if (n < 0 && errno != EINTR) fail("read");
        if (n > 0) done += (size_t)n;
    }
    check(message, number);
}

/* Reads what is available, up to a chunk at a time, and checks each whole message in it. */
static void receive_all(int fd, uint64_t from, uint64_t to) {
    static unsigned char chunk[CHUNK];
    size_t filled = 0;
    while (from < to) {
        ssize_t n = read(fd, chunk + filled, CHUNK - filled);
        if (n == 0) fail("end of stream");
        if (n < 0 && errno != EINTR) fail("read");
        if (n > 0) filled += (size_t)n;
        size_t used = 0;
        for (; filled - used >= MESSAGE; used += MESSAGE) check(chunk + used, from++);
        memmove(chunk, chunk + used, filled - used);
        filled -= used;
    }
}

static void serve(int fd, int oneway, uint64_t rounds, uint64_t warmup) {
    unsigned char message[MESSAGE] = {0};
    for (uint64_t i = 0; i < warmup + (oneway ? 0 : rounds); i++) {
        receive_number(fd, message, i);
        send_number(fd, message, i);
    }
    if (oneway) {
        receive_all(fd, warmup, warmup + rounds);
        send_number(fd, message, warmup + rounds);
    }
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void pingpong(int fd, unsigned char *message, uint64_t from, uint64_t to) {
    for (uint64_t i = from; i < to; i++) {
        send_number(fd, message, i);
        receive_number(fd, message, i);
    }
}

static void client(int fd, int oneway, uint64_t rounds, uint64_t warmup) {
    unsigned char message[MESSAGE] = {0};
    pingpong(fd, message, 0, warmup);
    uint64_t start = now();
    if (oneway) {
        for (uint64_t i = warmup; i < warmup + rounds; i++) send_number(fd, message, i);
        receive_number(fd, message, warmup + rounds);
    } else {
        pingpong(fd, message, warmup, warmup + rounds);
    }
    printf("%" PRIu64 "\n", now() - start);
}

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    int oneway = strcmp(argv[2], "oneway") == 0;
    uint64_t rounds = strtoull(argv[4], NULL, 10), warmup = strtoull(argv[5], NULL, 10);

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(argv[3]) >= sizeof address.sun_path) return 2;
    strcpy(address.sun_path, argv[3]);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");

    if (strcmp(argv[1], "serve") == 0) {
        if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
        if (listen(fd, 1) < 0) fail("listen");
        puts("ready");
        fflush(stdout);
        int stream = accept(fd, NULL, NULL);
        if (stream < 0) fail("accept");
        serve(stream, oneway, rounds, warmup);
    } else {
        if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
        client(fd, oneway, rounds, warmup);
    }
    return 0;
}

/* The baseline of `cargo xtask bench peers`: raw system calls. One-way messages are in bench/c/frames.c.
 * Called as `peers serve|connect pingpong|adaptive|requests|connections|fanin PATH 64 MESSAGES WARMUP skip`.
 * The server prints "ready" when it listens. At the end both print the nanoseconds that the messages took, the CPU time in
 * them, and for round trips the median and the 99th percentile.
 * adaptive reads without blocking for 20 us before it blocks. requests keeps 64 in flight, one call per message.
 * fanin: `connect` has 1,000 connections with one message in flight on each, and both sides wait with epoll; the server
 * runs until it is killed. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE = 64, WINDOW = 64, CLIENTS = 1000, EVENTS = 256, SPIN_NS = 20000 };

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int spins;

static void fail(const char *what) {
    fprintf(stderr, "peers.c: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void check(const unsigned char *message, uint64_t number) {
    uint64_t head, tail;
    memcpy(&head, message, 8);
    memcpy(&tail, message + MESSAGE - 8, 8);
    if (head != number || tail != ~number) {
        fprintf(stderr, "peers.c: message %" PRIu64 " arrived as %" PRIu64 "\n", number, head);
        exit(1);
    }
}

static void send_number(int fd, uint64_t number) {
    unsigned char message[MESSAGE];
    uint64_t tail = ~number;
    memset(message, 0x5a, MESSAGE);
    memcpy(message, &number, 8);
    memcpy(message + MESSAGE - 8, &tail, 8);
    for (size_t done = 0; done < MESSAGE;) {
        ssize_t n = write(fd, message + done, MESSAGE - done);
        if (n < 0 && errno != EINTR) fail("write");
        if (n > 0) done += (size_t)n;
    }
}

/* Reads, and where it spins, for some time without blocking first. */
static ssize_t receive(int fd, unsigned char *to, size_t bytes) {
    if (spins) {
        uint64_t started = 0;
        for (;;) {
            ssize_t n = recv(fd, to, bytes, MSG_DONTWAIT);
            if (n >= 0 || errno != EAGAIN) return n;
            uint64_t time = now(CLOCK_MONOTONIC);
            if (!started) started = time;
            if (time - started > SPIN_NS) break;
        }
    }
    return read(fd, to, bytes);
}

static void receive_number(int fd, uint64_t number) {
    unsigned char message[MESSAGE];
    for (size_t done = 0; done < MESSAGE;) {
        ssize_t n = receive(fd, message + done, MESSAGE - done);
        if (n == 0) fail("end of stream");
        if (n < 0 && errno != EINTR) fail("read");
        if (n > 0) done += (size_t)n;
    }
    check(message, number);
}

static int connected(void) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
    return fd;
}

static int listening(void) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
    if (listen(fd, SOMAXCONN) < 0) fail("listen");
    puts("ready");
    fflush(stdout);
    return fd;
}

static int accepted(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) fail("accept");
    return fd;
}

static void watch(int epoll, int fd, uint64_t data) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
}

/* Answers every message until it is killed. */
static void serve_many(void) {
    int listener = listening(), epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, listener, (uint64_t)listener);
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = (int)events[i].data.u64;
            if (fd == listener) {
                int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
                if (client >= 0) watch(epoll, client, (uint64_t)client);
                continue;
            }
            unsigned char message[MESSAGE];
            ssize_t n = read(fd, message, MESSAGE);
            if (n <= 0) close(fd);
            else if (write(fd, message, (size_t)n) != n) fail("write");
        }
    }
}

/* One message on its way on each of its connections, each connection counting for itself. */
static void rounds_of_many(int epoll, const int *clients, uint64_t *next, uint64_t rounds) {
    if (rounds < CLIENTS) rounds = CLIENTS;
    for (int i = 0; i < CLIENTS; i++) send_number(clients[i], next[i]);
    for (uint64_t sent = CLIENTS, got = 0; got < rounds;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int e = 0; e < count; e++, got++) {
            uint64_t i = events[e].data.u64;
            receive_number(clients[i], next[i]++);
            if (sent < rounds) send_number(clients[i], next[i]), sent++;
        }
    }
}

static int by_size(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

int main(int argc, char **argv) {
    if (argc != 8) return 2;
    alarm(20); /* Longer than any measurement. */
    int serves = strcmp(argv[1], "serve") == 0;
    const char *work = argv[2];
    uint64_t messages = strtoull(argv[5], NULL, 10), warmup = strtoull(argv[6], NULL, 10), all = warmup + messages;
    if (strlen(argv[3]) >= sizeof address.sun_path) return 2;
    strcpy(address.sun_path, argv[3]);
    spins = strcmp(work, "adaptive") == 0;
    int requests = strcmp(work, "requests") == 0, connections = strcmp(work, "connections") == 0;
    int many = strcmp(work, "fanin") == 0, fd = -1, listener = -1, epoll = -1;
    if (serves && many) serve_many();
    if (serves) listener = listening();
    static int clients[CLIENTS];
    static uint64_t next[CLIENTS];
    if (many) {
        struct rlimit limit = {4096, 4096};
        setrlimit(RLIMIT_NOFILE, &limit);
        epoll = epoll_create1(EPOLL_CLOEXEC);
        for (int i = 0; i < CLIENTS; i++) watch(epoll, clients[i] = connected(), (uint64_t)i);
        rounds_of_many(epoll, clients, next, warmup);
    } else if (!connections) {
        fd = serves ? accepted(listener) : connected();
    }

    uint32_t *timing = calloc(messages, sizeof *timing);
    uint64_t started = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID), last = started;
    if (many) rounds_of_many(epoll, clients, next, messages);
    for (uint64_t n = 0, sent = 0; !many && n < all; n++) {
        if (n == warmup) started = last = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
        if (connections) fd = serves ? accepted(listener) : connected();
        if (serves) {
            receive_number(fd, n);
            send_number(fd, n);
        } else {
            for (; sent < all && sent < n + (requests ? WINDOW : 1); sent++) send_number(fd, sent);
            receive_number(fd, n);
        }
        if (connections) close(fd);
        if (n >= warmup) {
            uint64_t time = now(CLOCK_MONOTONIC);
            timing[n - warmup] = (uint32_t)(time - last), last = time;
        }
    }
    uint64_t wall = now(CLOCK_MONOTONIC) - started;
    cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    qsort(timing, messages, sizeof *timing, by_size);
    printf("%" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIu32 "\n", wall, cpu, timing[messages / 2], timing[messages * 99 / 100]);
    fflush(stdout);
    if (many) pause(); /* It is killed once the server's memory has been looked at. */
    return 0;
}

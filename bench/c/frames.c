/* The baseline of the `frames` benchmark: messages with a four-byte length, with raw system calls.
 * Called as `frames serve|connect gathered|single PATH BYTES MESSAGES WARMUP read|skip`; the mirror of src/bin/frames/work.rs.
 * gathered: 256 messages are copied into each write. single: one writev per message, and the receiver reads one message
 * at a time. Buffers are page-aligned; the socket's have the default size.
 * The server prints "ready" when it listens. At the end both print the nanoseconds that the messages took, and the CPU time
 * in them. */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 4, GATHER = 256, CHUNK = 256 * 1024, PAGE = 4096 };

static size_t message_bytes;
static int reads_all;

static void fail(const char *what) {
    fprintf(stderr, "frames.c: %s: %s\n", what, strerror(errno));
    exit(1);
}

static unsigned char *buffer(size_t bytes) {
    unsigned char *new = aligned_alloc(PAGE, (bytes + PAGE - 1) / PAGE * PAGE);
    if (!new) fail("aligned_alloc");
    memset(new, 0x5a, bytes);
    return new;
}

static void number(unsigned char *message, uint64_t n) {
    uint64_t tail = ~n;
    memcpy(message, &n, 8);
    memcpy(message + message_bytes - 8, &tail, 8);
}

/* A number and its complement add up to -1, so that the sum of the words is the same for every message. */
static void check(const unsigned char *frame, uint64_t n) {
    uint32_t length;
    uint64_t head, tail, sum = 0, words = message_bytes / 8;
    const unsigned char *message = frame + HEADER;
    memcpy(&length, frame, HEADER);
    memcpy(&head, message, 8);
    memcpy(&tail, message + message_bytes - 8, 8);
    int wrong = le32toh(length) != message_bytes || head != n || tail != ~n;
    if (reads_all && !wrong) {
        for (uint64_t i = 0; i < words; i++) {
            uint64_t word;
            memcpy(&word, message + 8 * i, 8);
            sum += word;
        }
        wrong = sum != UINT64_C(0x5a5a5a5a5a5a5a5a) * (words - 2) - 1;
    }
    if (wrong) {
        fprintf(stderr, "frames.c: message %" PRIu64 " arrived as %" PRIu64 "\n", n, head);
        exit(1);
    }
}

static void write_all(int fd, const unsigned char *from, size_t bytes) {
    while (bytes > 0) {
        ssize_t n = write(fd, from, bytes);
        if (n < 0 && errno != EINTR) fail("write");
        if (n > 0) from += n, bytes -= (size_t)n;
    }
}

static void send_gathered(int fd, uint64_t from, uint64_t to) {
    static unsigned char *frames, *message;
    if (!frames) frames = buffer(GATHER * (HEADER + message_bytes)), message = buffer(message_bytes);
    uint32_t length = htole32((uint32_t)message_bytes);
    size_t used = 0;
    for (uint64_t n = from; n < to; n++) {
        number(message, n);
        memcpy(frames + used, &length, HEADER);
        memcpy(frames + used + HEADER, message, message_bytes);
        used += HEADER + message_bytes;
        if (used == GATHER * (HEADER + message_bytes) || n + 1 == to) {
            write_all(fd, frames, used);
            used = 0;
        }
    }
}

static void send_single(int fd, uint64_t from, uint64_t to) {
    static unsigned char *message;
    if (!message) message = buffer(message_bytes);
    uint32_t length = htole32((uint32_t)message_bytes);
    for (uint64_t n = from; n < to; n++) {
        number(message, n);
        struct iovec parts[2] = {{&length, HEADER}, {message, message_bytes}};
        ssize_t sent = writev(fd, parts, 2);
        if (sent < HEADER) fail("writev");
        write_all(fd, message + sent - HEADER, message_bytes + HEADER - (size_t)sent);
    }
}

static void receive_gathered(int fd, uint64_t from, uint64_t to) {
    static unsigned char *chunk;
    static size_t filled;
    if (!chunk) chunk = buffer(CHUNK);
    while (from < to) {
        ssize_t n = read(fd, chunk + filled, CHUNK - filled);
        if (n == 0) fail("end of stream");
        if (n < 0 && errno != EINTR) fail("read");
        if (n > 0) filled += (size_t)n;
        size_t used = 0;
        for (; filled - used >= HEADER + message_bytes; used += HEADER + message_bytes) check(chunk + used, from++);
        memmove(chunk, chunk + used, filled - used);
        filled -= used;
    }
}

static void receive_single(int fd, uint64_t from, uint64_t to) {
    static unsigned char *frame;
    if (!frame) frame = buffer(HEADER + message_bytes);
    for (; from < to; from++) {
        for (size_t filled = 0; filled < HEADER + message_bytes;) {
            ssize_t n = read(fd, frame + filled, HEADER + message_bytes - filled);
            if (n == 0) fail("end of stream");
            if (n < 0 && errno != EINTR) fail("read");
            if (n > 0) filled += (size_t)n;
        }
        check(frame, from);
    }
}

static uint64_t now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void phase(int fd, int sends, int gathered, uint64_t from, uint64_t to) {
    char done = '!';
    if (sends) {
        (gathered ? send_gathered : send_single)(fd, from, to);
        if (read(fd, &done, 1) != 1) fail("read the receipt");
    } else {
        (gathered ? receive_gathered : receive_single)(fd, from, to);
        if (write(fd, &done, 1) != 1) fail("write the receipt");
    }
}

int main(int argc, char **argv) {
    if (argc != 8) return 2;
    int gathered = strcmp(argv[2], "gathered") == 0, sends = strcmp(argv[1], "connect") == 0;
    message_bytes = strtoull(argv[4], NULL, 10);
    uint64_t messages = strtoull(argv[5], NULL, 10), warmup = strtoull(argv[6], NULL, 10);
    reads_all = strcmp(argv[7], "read") == 0;

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(argv[3]) >= sizeof address.sun_path || message_bytes < 16) return 2;
    strcpy(address.sun_path, argv[3]);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    if (sends) {
        if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
    } else {
        if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
        if (listen(fd, 1) < 0) fail("listen");
        puts("ready");
        fflush(stdout);
        if ((fd = accept(fd, NULL, NULL)) < 0) fail("accept");
    }
    phase(fd, sends, gathered, 0, warmup);
    uint64_t start = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
    phase(fd, sends, gathered, warmup, warmup + messages);
    printf("%" PRIu64 " %" PRIu64 "\n", now(CLOCK_MONOTONIC) - start, now(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    return 0;
}

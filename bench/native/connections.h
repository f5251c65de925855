/* WebSockets of a load: opened, prepared, and read for a text that tells an answer or a message. */
#ifndef CONNECTIONS_H
#define CONNECTIONS_H

#include <stdint.h>

#include "websocket.h"

#define TOKEN "@@@@@" /* in a frame: stands for the number of the socket, five digits */

/* What is sent, and how often which text has to come back before the next is sent. */
struct exchange {
    const char *frame, *pattern;
    unsigned count;
};

struct exchanges {
    struct exchange *items;
    unsigned count;
};

enum state { CLOSED, CONNECTING, SHAKING_HANDS, OPEN, PREPARING, READY };

struct connection {
    int fd, raw; /* raw: plain HTTP, no WebSocket */
    unsigned number, step, seen;
    enum state state;
    const char *path;
    const struct exchanges *exchanges;
    const char *pattern; /* looked for when READY; NULL: whatever comes is thrown away */
    struct buffer in, out;
    char last[240]; /* the start of the newest frame, for people */
    uint64_t matches, started, ready_at;
    uint64_t *sent; /* when each outstanding request was sent, a ring */
    struct buffer burst;
};

struct target {
    int port;
    const char *protocol; /* WebSocket subprotocol, or NULL */
};

extern struct target target;

/* Called with how often the pattern of a READY socket came in one read. */
extern void (*on_matches)(struct connection *connection, unsigned count, uint64_t now);

uint64_t now_ns(void);
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

void connections_init(void);

/* Opens the sockets, at most `at_once` on their way at a time; each goes on to its exchanges at once if `prepare`.
 * Ends the program when nothing goes on for `patience` seconds. */
void connections_open(struct connection *all, unsigned count, unsigned at_once, int prepare, double patience);

/* Runs the exchanges of open sockets, at most `at_once` at a time. */
void connections_prepare(struct connection *all, unsigned count, unsigned at_once, double patience);
void connection_close(struct connection *connection);

/* Sends what is a frame already; what the socket does not take waits. */
void connection_put(struct connection *connection, const void *bytes, size_t length);

/* The frame of a text, with the socket's number in place of TOKEN. */
void connection_frame(const struct connection *connection, const char *text, struct buffer *to);

/* Waits up to `timeout_ms` for the sockets and handles what came. Returns how many had something. */
int connections_poll(int timeout_ms);

#endif

#define _GNU_SOURCE
#include "connections.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "http.h"

struct target target;
void (*on_matches)(struct connection *connection, unsigned count, uint64_t now);

static int epoll;
static int prepare_at_once; /* a socket goes on to its exchanges as soon as its own handshake is done */
static unsigned long progress; /* grows with whatever a socket achieves while it is opened or prepared */

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

void connections_init(void)
{
    epoll = epoll_create1(EPOLL_CLOEXEC);
}

static void watch(struct connection *connection, int operation, int write)
{
    struct epoll_event event = {.events = EPOLLIN | (write ? (uint32_t)EPOLLOUT : 0u), .data.ptr = connection};
    epoll_ctl(epoll, operation, connection->fd, &event);
}

void connection_put(struct connection *connection, const void *bytes, size_t length)
{
    size_t sent = 0;
    if (connection->out.used == 0) {
        ssize_t done = send(connection->fd, bytes, length, MSG_NOSIGNAL);
        if (done < 0 && errno != EAGAIN)
            fail("socket %u: %s; the last that came: %s", connection->number, strerror(errno), connection->last);
        sent = done > 0 ? (size_t)done : 0;
    }
    if (sent < length) {
        buffer_append(&connection->out, (const char *)bytes + sent, length - sent);
        watch(connection, EPOLL_CTL_MOD, 1);
    }
}

void connection_frame(const struct connection *connection, const char *text, struct buffer *to)
{
    size_t length = strlen(text), start = to->used;
    if (connection->raw)
        buffer_append(to, text, length);
    else
        frame_append(to, OPCODE_TEXT, text, length, 1);
    char digits[16], *at = (char *)to->bytes + start;
    snprintf(digits, sizeof digits, "%05u", connection->number % 100000);
    while ((at = memmem(at, to->used - (size_t)(at - (char *)to->bytes), TOKEN, strlen(TOKEN))) != NULL)
        memcpy(at, digits, strlen(TOKEN));
}

void connection_close(struct connection *connection)
{
    close(connection->fd);
    buffer_free(&connection->in);
    buffer_free(&connection->out);
    connection->state = CLOSED;
    connection->step = connection->seen = 0;
    connection->matches = 0;
}

static void start(struct connection *connection)
{
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)target.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0)
        fail("socket %u: %s", connection->number, strerror(errno));
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        fail("socket %u: %s", connection->number, strerror(errno));
    connection->state = CONNECTING;
    connection->started = now_ns();
    watch(connection, EPOLL_CTL_ADD, 1);
}

static void connected(struct connection *connection)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error)
        fail("socket %u cannot connect: %s", connection->number, strerror(error));
    watch(connection, EPOLL_CTL_MOD, 0);
    if (connection->raw) {
        connection->state = OPEN;
        progress++;
        return;
    }
    char head[512];
    int length = snprintf(head, sizeof head,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s%s%s\r\n",
                          connection->path, target.port, target.protocol ? "Sec-WebSocket-Protocol: " : "",
                          target.protocol ? target.protocol : "", target.protocol ? "\r\n" : "");
    connection->state = SHAKING_HANDS;
    connection_put(connection, head, (size_t)length);
}

static void next_exchange(struct connection *connection)
{
    connection->seen = 0;
    progress++;
    if (connection->step == connection->exchanges->count) {
        connection->state = READY;
        connection->ready_at = now_ns();
        return;
    }
    struct buffer frame = {0};
    connection->state = PREPARING;
    connection_frame(connection, connection->exchanges->items[connection->step].frame, &frame);
    connection_put(connection, frame.bytes, frame.used);
    buffer_free(&frame);
}

static void opened(struct connection *connection)
{
    char *end = memmem(connection->in.bytes, connection->in.used, "\r\n\r\n", 4);
    if (end == NULL)
        return;
    *end = 0;
    const char *head = (char *)connection->in.bytes;
    if (strncmp(head, "HTTP/1.1 101", 12) != 0)
        fail("the handshake was refused: %.200s", head);
    if (target.protocol && strcasestr(head, "\r\nSec-WebSocket-Protocol:") == NULL)
        fail("the server does not offer the subprotocol %s", target.protocol);
    buffer_consume(&connection->in, (size_t)(end + 4 - head));
    connection->state = OPEN;
    progress++;
    if (prepare_at_once)
        next_exchange(connection);
}

/* How often the pattern is in these bytes. No server splits a message between two frames. */
static unsigned matches(const char *pattern, const char *bytes, size_t length)
{
    size_t size = strlen(pattern);
    unsigned found = 0;
    for (const char *at = bytes; (at = memmem(at, length - (size_t)(at - bytes), pattern, size)) != NULL; at += size)
        found++;
    return found;
}

/* The frame at the start of what came; plain HTTP's responses are taken for frames of text. */
static size_t next_frame(const struct connection *connection, unsigned char *bytes, size_t available, struct frame *frame)
{
    struct http_message response;
    if (!connection->raw)
        return frame_read(bytes, available, frame);
    size_t taken = http_read(bytes, available, &response);
    if (taken)
        *frame = (struct frame){OPCODE_TEXT, bytes, taken};
    return taken;
}

static unsigned handle_frame(struct connection *connection, const struct frame *frame)
{
    size_t shown = frame->length < sizeof connection->last - 1 ? frame->length : sizeof connection->last - 1;
    memcpy(connection->last, frame->payload, shown);
    connection->last[shown] = 0;
    if (frame->opcode == OPCODE_CLOSE)
        fail("the server closed socket %u: %.100s", connection->number, frame->length > 2 ? connection->last + 2 : "");
    if (frame->opcode == OPCODE_PING) {
        struct buffer pong = {0};
        frame_append(&pong, OPCODE_PONG, frame->payload, frame->length, 1);
        connection_put(connection, pong.bytes, pong.used);
        buffer_free(&pong);
        return 0;
    }
    if (connection->state == READY)
        return connection->pattern ? matches(connection->pattern, (char *)frame->payload, frame->length) : 0;
    if (connection->state == PREPARING) {
        const struct exchange *exchange = &connection->exchanges->items[connection->step];
        connection->seen += matches(exchange->pattern, (char *)frame->payload, frame->length);
        if (connection->seen >= exchange->count) {
            connection->step++;
            next_exchange(connection);
        }
    }
    return 0;
}

static void readable(struct connection *connection)
{
    static unsigned char bytes[262144];
    ssize_t got = recv(connection->fd, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        fail("the server dropped socket %u; the last that came: %s", connection->number, connection->last);
    if (connection->raw && connection->pattern == NULL)
        return;
    unsigned char *from = bytes;
    size_t available = (size_t)got, at = 0, taken;
    if (connection->in.used || connection->state == SHAKING_HANDS) {
        buffer_append(&connection->in, bytes, (size_t)got);
        if (connection->state == SHAKING_HANDS) {
            opened(connection);
            if (connection->state == SHAKING_HANDS)
                return;
        }
        from = connection->in.bytes;
        available = connection->in.used;
    }
    struct frame frame;
    unsigned found = 0;
    while ((taken = next_frame(connection, from + at, available - at, &frame)) > 0) {
        found += handle_frame(connection, &frame);
        at += taken;
    }
    if (from != bytes)
        buffer_consume(&connection->in, at);
    else if (at < available)
        buffer_append(&connection->in, bytes + at, available - at);
    if (found)
        on_matches(connection, found, now_ns());
}

static void writable(struct connection *connection)
{
    if (connection->state == CONNECTING) {
        connected(connection);
        return;
    }
    ssize_t sent = send(connection->fd, connection->out.bytes, connection->out.used, MSG_NOSIGNAL);
    if (sent > 0)
        buffer_consume(&connection->out, (size_t)sent);
    if (connection->out.used == 0)
        watch(connection, EPOLL_CTL_MOD, 0);
}

int connections_poll(int timeout_ms)
{
    static struct epoll_event events[512];
    int ready = epoll_wait(epoll, events, 512, timeout_ms);
    for (int index = 0; index < ready; index++) {
        struct connection *connection = events[index].data.ptr;
        if (events[index].events & EPOLLOUT)
            writable(connection);
        if (events[index].events & ~(uint32_t)EPOLLOUT && connection->state != CONNECTING)
            readable(connection);
    }
    return ready;
}

static void wait_for(struct connection *all, unsigned first, unsigned end, enum state state, double patience)
{
    uint64_t quiet_since = now_ns();
    unsigned long before = progress;
    while (first < end) {
        if (all[first].state >= state) {
            first++;
            continue;
        }
        connections_poll(100);
        if (progress != before) {
            before = progress;
            quiet_since = now_ns();
        } else if ((double)(now_ns() - quiet_since) / 1e9 > patience) {
            fail("nothing came for %.0f s while socket %u was prepared; the last that came: %s", patience,
                 all[first].number, all[first].last);
        }
    }
}

void connections_open(struct connection *all, unsigned count, unsigned at_once, int prepare, double patience)
{
    prepare_at_once = prepare;
    for (unsigned index = 0; index < count; index++) {
        if (index >= at_once)
            wait_for(all, index - at_once, index - at_once + 1, prepare ? READY : OPEN, patience);
        start(&all[index]);
    }
    wait_for(all, 0, count, prepare ? READY : OPEN, patience);
    prepare_at_once = 0;
}

void connections_prepare(struct connection *all, unsigned count, unsigned at_once, double patience)
{
    for (unsigned index = 0; index < count; index++) {
        if (index >= at_once)
            wait_for(all, index - at_once, index - at_once + 1, READY, patience);
        if (all[index].state == OPEN)
            next_exchange(&all[index]);
    }
    wait_for(all, 0, count, READY, patience);
}

/* The limit of a fan-out: one thread, epoll, and one send() for each subscriber and message.
 *
 *   sendloop PORT
 *
 * A WebSocket on /subscribe gets every message that one on /publish sends. The frame is built once. A socket that
 * takes no more keeps the rest in a buffer of its own. Nothing is stored and nothing is checked. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "websocket.h"

struct socket {
    int fd;
    int open, subscriber;
    size_t place; /* in `subscribers` */
    struct buffer in, out;
};

static struct socket **subscribers;
static size_t subscriber_count, subscriber_room;
static int epoll;

static void watch(struct socket *socket, int operation)
{
    uint32_t events = EPOLLIN | (socket->out.used ? (uint32_t)EPOLLOUT : 0u);
    struct epoll_event event = {.events = events, .data.ptr = socket};
    epoll_ctl(epoll, operation, socket->fd, &event);
}

static void drop(struct socket *socket)
{
    if (socket->subscriber) {
        subscribers[socket->place] = subscribers[--subscriber_count];
        subscribers[socket->place]->place = socket->place;
    }
    close(socket->fd);
    buffer_free(&socket->in);
    buffer_free(&socket->out);
    free(socket);
}

/* A socket that failed is dropped when epoll tells so, not here, where it may be in use. */
static void put(struct socket *socket, const void *bytes, size_t length)
{
    size_t sent = 0;
    if (socket->out.used == 0) {
        ssize_t done = send(socket->fd, bytes, length, MSG_NOSIGNAL);
        sent = done > 0 ? (size_t)done : 0;
    }
    if (sent < length) {
        buffer_append(&socket->out, (const char *)bytes + sent, length - sent);
        watch(socket, EPOLL_CTL_MOD);
    }
}

static int handshake(struct socket *socket)
{
    char *head = (char *)socket->in.bytes;
    char *end = memmem(head, socket->in.used, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    *end = 0;
    char *key = strcasestr(head, "\r\nsec-websocket-key:");
    if (key == NULL)
        return -1;
    key += strlen("\r\nsec-websocket-key:");
    key += strspn(key, " ");
    char accept[29], reply[200];
    accept_key(key, strcspn(key, "\r "), accept);
    int length = snprintf(reply, sizeof reply,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: %s\r\n\r\n",
                          accept);
    socket->open = 1;
    if (strncmp(head, "GET /subscribe", 14) == 0) {
        if (subscriber_count == subscriber_room) {
            subscriber_room = subscriber_room * 2 + 64;
            subscribers = realloc(subscribers, subscriber_room * sizeof *subscribers);
        }
        socket->subscriber = 1;
        socket->place = subscriber_count;
        subscribers[subscriber_count++] = socket;
    }
    buffer_consume(&socket->in, (size_t)(end - head) + 4);
    put(socket, reply, (size_t)length);
    return 0;
}

static int frames(struct socket *socket)
{
    size_t at = 0, taken;
    struct frame frame;
    while ((taken = frame_read(socket->in.bytes + at, socket->in.used - at, &frame)) > 0) {
        if (frame.opcode == OPCODE_CLOSE)
            return -1;
        if (frame.opcode == OPCODE_TEXT) {
            struct buffer message = {0};
            frame_append(&message, OPCODE_TEXT, frame.payload, frame.length, 0);
            for (size_t index = 0; index < subscriber_count; index++)
                put(subscribers[index], message.bytes, message.used);
            buffer_free(&message);
        }
        at += taken;
    }
    if (at)
        buffer_consume(&socket->in, at);
    return 0;
}

static int readable(struct socket *socket)
{
    char bytes[65536];
    ssize_t got = recv(socket->fd, bytes, sizeof bytes, 0);
    if (got <= 0)
        return got < 0 && errno == EAGAIN ? 0 : -1;
    buffer_append(&socket->in, bytes, (size_t)got);
    if (!socket->open && handshake(socket) < 0)
        return -1;
    return socket->open && socket->in.used ? frames(socket) : 0;
}

static int writable(struct socket *socket)
{
    ssize_t sent = send(socket->fd, socket->out.bytes, socket->out.used, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN ? 0 : -1;
    buffer_consume(&socket->out, (size_t)sent);
    watch(socket, EPOLL_CTL_MOD);
    return 0;
}

static void take(int listener)
{
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct socket *socket = calloc(1, sizeof *socket);
        socket->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(socket, EPOLL_CTL_ADD);
    }
}

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: sendloop PORT\n");
        return 2;
    }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(arguments[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) {
        perror("sendloop");
        return 1;
    }
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        struct epoll_event events[512];
        int ready = epoll_wait(epoll, events, 512, -1);
        for (int index = 0; index < ready; index++) {
            struct socket *socket = events[index].data.ptr;
            uint32_t what = events[index].events;
            if (socket == NULL) {
                take(listener);
            } else if ((what & EPOLLOUT && writable(socket) < 0) || (what & ~(uint32_t)EPOLLOUT && readable(socket) < 0)) {
                drop(socket);
            }
        }
    }
}

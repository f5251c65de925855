/* Receives what webhooks are sent: one thread that reads requests, answers each, and counts messages.
 *
 *   receiver --addresses N --message TEXT --patience SECONDS
 *
 * Listens at 127.0.0.1 to 127.0.0.N, on the same free port, which is the first line on stdout. Then commands on
 * stdin, each answered by a line of JSON:
 *   wait COUNT     waits until the text has come so often since the start; nothing for so many seconds is a failure
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
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
#include "websocket.h"

enum kind { COMMANDS, LISTENER, CONNECTION };

struct source {
    enum kind kind;
    int fd;
    struct buffer in;
};

static const char ANSWER[] = "HTTP/1.1 204 No Content\r\n\r\n";
static const char *message = "";
static int epoll;
static unsigned long long received, wanted;
static int waiting;

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void watch(enum kind kind, int fd)
{
    struct source *source = calloc(1, sizeof *source);
    *source = (struct source){.kind = kind, .fd = fd};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Listens at 127.0.0.<number>; port 0 is any free one. Returns the port. */
static int listen_at(unsigned number, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(0x7f000000u | number)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 512) < 0)
        fail("127.0.0.%u:%d: %s", number, port, strerror(errno));
    getsockname(fd, (struct sockaddr *)&address, &size);
    watch(LISTENER, fd);
    return ntohs(address.sin_port);
}

static void accept_all(int listener)
{
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(CONNECTION, fd);
    }
}

static void end(struct source *connection)
{
    close(connection->fd);
    buffer_free(&connection->in);
    free(connection);
}

static void read_requests(struct source *connection)
{
    static unsigned char bytes[65536];
    ssize_t got = recv(connection->fd, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        end(connection);
        return;
    }
    buffer_append(&connection->in, bytes, (size_t)got);
    struct http_message request;
    size_t taken;
    while (connection->in.used && (taken = http_read(connection->in.bytes, connection->in.used, &request)) > 0) {
        if (memmem(request.body, request.body_length, message, strlen(message)) == NULL)
            fail("this came without the message: %.*s", (int)request.body_length, request.body);
        received++;
        buffer_consume(&connection->in, taken);
        if (send(connection->fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL) != sizeof ANSWER - 1) {
            end(connection); /* who sent it has left */
            return;
        }
    }
}

static void command(void)
{
    char line[64];
    if (fgets(line, sizeof line, stdin) == NULL)
        exit(0);
    if (sscanf(line, "wait %llu", &wanted) != 1)
        fail("unknown command: %s", line);
    waiting = 1;
}

int main(int count, char **arguments)
{
    static const struct option known[] = {
        {"addresses", 1, 0, 'a'}, {"message", 1, 0, 'm'}, {"patience", 1, 0, 'p'}, {0, 0, 0, 0}};
    unsigned addresses = 1;
    double patience = 20;
    for (int option; (option = getopt_long(count, arguments, "", known, NULL)) != -1;) {
        switch (option) {
        case 'a': addresses = (unsigned)atoi(optarg); break;
        case 'm': message = optarg; break;
        case 'p': patience = atof(optarg); break;
        default: exit(2);
        }
    }
    if (addresses < 1 || addresses > 254)
        fail("--addresses: 1 to 254");
    epoll = epoll_create1(EPOLL_CLOEXEC);
    setvbuf(stdin, NULL, _IONBF, 0); /* what is read is a command at a time, or epoll would not tell of the next */
    watch(COMMANDS, STDIN_FILENO);
    int port = listen_at(1, 0);
    for (unsigned number = 2; number <= addresses; number++)
        listen_at(number, port);
    printf("%d\n", port);
    fflush(stdout);
    double last = now();
    for (;;) {
        struct epoll_event events[256];
        unsigned long long before = received;
        int ready = epoll_wait(epoll, events, 256, 100);
        for (int index = 0; index < ready; index++) {
            struct source *source = events[index].data.ptr;
            if (source->kind == LISTENER)
                accept_all(source->fd);
            else if (source->kind == CONNECTION)
                read_requests(source);
            else {
                command();
                last = now();
            }
        }
        if (received != before)
            last = now();
        if (waiting && received >= wanted) {
            printf("{\"received\": %llu}\n", received);
            fflush(stdout);
            waiting = 0;
        } else if (waiting && now() - last > patience) {
            fail("nothing came for %.0f s; %llu of %llu messages have", patience, received, wanted);
        }
    }
}

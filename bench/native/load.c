/* The load of the comparisons: one thread that opens WebSockets and drives a server, for little CPU of its own.
 *
 *   load --port PORT --sockets N [OPTIONS], then commands on stdin, each answered by a line of JSON on stdout:
 *     open         opens the sockets              prepare      runs the --prepare exchanges of each
 *     run SECONDS  does the work                  drop         closes all sockets at once
 *     resume       opens them again, each going on to the --resume exchanges as soon as it is open
 *
 *   --path PATH, --protocol NAME       where the sockets go, and the subprotocol they insist on
 *   --prepare FRAME --expect N:TEXT    an exchange: a frame, and the text that has to come back N times
 *   --resume FRAME --expect N:TEXT     an exchange after a drop
 *   --at-once N                        sockets on their way at a time while they are opened or prepared
 *   --patience SECONDS                 without an answer for so long, the load fails
 * Requests and replies, if there is no --publish:
 *   --request FRAME --reply TEXT --outstanding N
 *   --http                             the sockets are plain HTTP: a frame is a request, a reply a response
 * Fan-out, over one more socket that publishes:
 *   --publish FRAME...                 what is sent in one piece, as a round
 *   --message TEXT --batch N           what every subscriber has to get N times for each round
 *   --window N                         rounds on their way at a time
 *   --rate N                           rounds per second instead
 *   --publish-path PATH, --publish-http, --publish-prepare FRAME --expect N:TEXT
 */
#define _GNU_SOURCE
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "connections.h"
#include "samples.h"

#define ROUNDS 65536 /* remembered at a time */
#define FRAMES_MAX 64

static struct connection *all;
static unsigned sockets = 1, at_once = 64, outstanding = 1, window = 1, batch = 1;
static double patience = 20, rate;
static struct exchanges prepare, resume, publisher_prepare;
static const char *request, *reply, *message, *publish[FRAMES_MAX], *publish_path = "/", *path = "/";
static unsigned publish_count;
static int http, publish_http;

/* One run */
static uint64_t began, deadline, last_match, operations;
static unsigned long waiting;             /* requests without a reply */
static uint64_t round_sent[ROUNDS];       /* when it was published */
static unsigned round_done[ROUNDS];       /* subscribers that have all of it */
static uint64_t published, published_before, completed;
static struct buffer round_bytes;

static void replied(struct connection *connection, unsigned count, uint64_t now)
{
    for (unsigned index = 0; index < count; index++)
        samples_add(now - connection->sent[(connection->matches + index) % outstanding]);
    last_match = now;
    operations += count;
    if (now >= deadline) {
        connection->matches += count;
        waiting -= count;
        return;
    }
    for (unsigned index = 0; index < count; index++)
        connection->sent[connection->matches++ % outstanding] = now;
    connection_put(connection, connection->burst.bytes, connection->burst.used / outstanding * count);
}

static void publish_round(uint64_t now)
{
    round_sent[published % ROUNDS] = now;
    round_done[published % ROUNDS] = 0;
    published++;
    connection_put(&all[sockets], round_bytes.bytes, round_bytes.used);
}

static void delivered(struct connection *connection, unsigned count, uint64_t now)
{
    last_match = now;
    operations += count;
    for (unsigned index = 0; index < count; index++) {
        uint64_t round = connection->matches++ / batch;
        if (round >= published)
            fail("socket %u got more than was published: %s", connection->number, connection->last);
        samples_add(now - round_sent[round % ROUNDS]);
        if (connection->matches % batch == 0 && ++round_done[round % ROUNDS] == sockets)
            completed++;
    }
}

static void requests_begin(uint64_t now)
{
    for (unsigned index = 0; index < sockets; index++) {
        struct connection *connection = &all[index];
        buffer_free(&connection->burst);
        if (connection->sent == NULL)
            connection->sent = calloc(outstanding, sizeof *connection->sent);
        for (unsigned one = 0; one < outstanding; one++) {
            connection_frame(connection, request, &connection->burst);
            connection->sent[(connection->matches + one) % outstanding] = now;
        }
        waiting += outstanding;
        connection_put(connection, connection->burst.bytes, connection->burst.used);
    }
}

/* Publishes what is due. Returns the milliseconds until more is, 100 if something else decides. */
static int publish_due(uint64_t now)
{
    if (rate == 0) {
        while (now < deadline && published - completed < window)
            publish_round(now);
        return 100;
    }
    while (now < deadline && published - completed < ROUNDS) {
        uint64_t due = began + (uint64_t)((double)(published - published_before) * 1e9 / rate);
        if (due > now)
            return (int)((due - now) / 1000000);
        publish_round(due); /* not `now`: a late publisher is a part of the latency */
    }
    return 100;
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void report(double seconds, double cpu)
{
    samples_sort();
    printf("{\"operations\": %llu, \"rounds\": %llu, \"seconds\": %.6f, \"load_cpu_seconds\": %.6f, "
           "\"p50_us\": %u, \"p99_us\": %u, \"max_us\": %u}\n",
           (unsigned long long)operations, (unsigned long long)(published - published_before), seconds, cpu,
           samples_percentile(0.5), samples_percentile(0.99), samples_percentile(1));
    fflush(stdout);
    samples_forget();
}

static void run(double seconds)
{
    double cpu = cpu_seconds();
    began = last_match = now_ns();
    deadline = began + (uint64_t)(seconds * 1e9);
    operations = 0;
    published_before = published;
    if (publish_count == 0)
        requests_begin(began);
    for (;;) {
        uint64_t now = now_ns();
        int timeout = publish_count ? publish_due(now) : 100;
        if (now >= deadline && waiting == 0 && completed == published)
            break;
        connections_poll(timeout);
        if ((double)(now_ns() - last_match) / 1e9 > patience)
            fail("no answer for %.0f s; %lu requests and %llu rounds are open; the last that came: %s | %s",
                 patience, waiting, (unsigned long long)(published - completed), all[0].last, all[sockets].last);
    }
    report((double)(last_match - began) / 1e9, cpu_seconds() - cpu);
}

/* Opens or prepares, and reports how long each socket took. */
static void stage(const char *name)
{
    uint64_t start = now_ns();
    double cpu = cpu_seconds();
    const struct exchanges *exchanges = strcmp(name, "resume") == 0 ? &resume : &prepare;
    for (unsigned index = 0; index < sockets; index++)
        all[index].exchanges = exchanges;
    if (strcmp(name, "prepare") == 0)
        connections_prepare(all, sockets, at_once, patience);
    else
        connections_open(all, sockets, at_once, exchanges == &resume, patience);
    if (publish_count && strcmp(name, "prepare") == 0) {
        connections_open(&all[sockets], 1, 1, 0, patience);
        connections_prepare(&all[sockets], 1, 1, patience);
    }
    for (unsigned index = 0; exchanges == &resume && index < sockets; index++)
        samples_add(all[index].ready_at - all[index].started);
    operations = sockets;
    published_before = published;
    report((double)(now_ns() - start) / 1e9, cpu_seconds() - cpu);
}

static void drop(void)
{
    for (unsigned index = 0; index < sockets; index++)
        connection_close(&all[index]);
    printf("{}\n");
    fflush(stdout);
}

static struct exchange *add_exchange(struct exchanges *to, const char *frame)
{
    to->items = realloc(to->items, (to->count + 1) * sizeof *to->items);
    to->items[to->count] = (struct exchange){.frame = frame};
    return &to->items[to->count++];
}

static void options(int count, char **arguments)
{
    enum { PATH = 1, PROTOCOL, PREPARE, RESUME, EXPECT, AT_ONCE, PATIENCE, REQUEST, REPLY, OUTSTANDING, PUBLISH, MESSAGE,
           BATCH, WINDOW, RATE, PUBLISH_PATH, PUBLISH_HTTP, PUBLISH_PREPARE, PORT, SOCKETS, HTTP };
    static const struct option known[] = {
        {"port", 1, 0, PORT}, {"sockets", 1, 0, SOCKETS}, {"path", 1, 0, PATH}, {"protocol", 1, 0, PROTOCOL},
        {"prepare", 1, 0, PREPARE}, {"resume", 1, 0, RESUME}, {"expect", 1, 0, EXPECT}, {"at-once", 1, 0, AT_ONCE},
        {"patience", 1, 0, PATIENCE}, {"request", 1, 0, REQUEST}, {"reply", 1, 0, REPLY},
        {"outstanding", 1, 0, OUTSTANDING}, {"publish", 1, 0, PUBLISH}, {"message", 1, 0, MESSAGE},
        {"batch", 1, 0, BATCH}, {"window", 1, 0, WINDOW}, {"rate", 1, 0, RATE}, {"publish-path", 1, 0, PUBLISH_PATH},
        {"publish-http", 0, 0, PUBLISH_HTTP}, {"publish-prepare", 1, 0, PUBLISH_PREPARE},
        {"http", 0, 0, HTTP}, {0, 0, 0, 0}};
    struct exchange *exchange = NULL;
    for (int option; (option = getopt_long(count, arguments, "", known, NULL)) != -1;) {
        switch (option) {
        case PORT: target.port = atoi(optarg); break;
        case SOCKETS: sockets = (unsigned)atoi(optarg); break;
        case PATH: path = optarg; break;
        case PROTOCOL: target.protocol = optarg; break;
        case PREPARE: exchange = add_exchange(&prepare, optarg); break;
        case RESUME: exchange = add_exchange(&resume, optarg); break;
        case PUBLISH_PREPARE: exchange = add_exchange(&publisher_prepare, optarg); break;
        case EXPECT: {
            char *text = strchr(optarg, ':');
            if (exchange == NULL || text == NULL || text[1] == 0)
                fail("--expect N:TEXT follows the frame of an exchange");
            exchange->count = (unsigned)atoi(optarg);
            exchange->pattern = text + 1;
            break;
        }
        case AT_ONCE: at_once = (unsigned)atoi(optarg); break;
        case PATIENCE: patience = atof(optarg); break;
        case REQUEST: request = optarg; break;
        case REPLY: reply = optarg; break;
        case OUTSTANDING: outstanding = (unsigned)atoi(optarg); break;
        case PUBLISH:
            if (publish_count == FRAMES_MAX)
                fail("a round has at most %d frames", FRAMES_MAX);
            publish[publish_count++] = optarg;
            break;
        case MESSAGE: message = optarg; break;
        case BATCH: batch = (unsigned)atoi(optarg); break;
        case WINDOW: window = (unsigned)atoi(optarg); break;
        case RATE: rate = atof(optarg); break;
        case PUBLISH_PATH: publish_path = optarg; break;
        case PUBLISH_HTTP: publish_http = 1; break;
        case HTTP: http = 1; break;
        default: exit(2);
        }
    }
    const char *pattern = publish_count ? message : reply;
    if (pattern && strlen(pattern) == 0)
        fail("the text that is looked for is empty");
    if (publish_count && message == NULL)
        fail("--publish needs --message");
    if (request && reply == NULL)
        fail("--request needs --reply");
    if (target.port == 0 || sockets == 0 || at_once == 0 || outstanding == 0 || batch == 0 || window == 0 ||
        window > ROUNDS)
        fail("see the head of load.c for the options");
}

int main(int count, char **arguments)
{
    options(count, arguments);
    connections_init();
    all = calloc(sockets + 1, sizeof *all);
    for (unsigned index = 0; index <= sockets; index++) {
        int publisher = index == sockets;
        all[index] = (struct connection){.number = index, .path = publisher ? publish_path : path,
                                         .raw = publisher ? publish_http : http,
                                         .exchanges = publisher ? &publisher_prepare : &prepare,
                                         .pattern = publisher ? NULL : publish_count ? message : reply};
    }
    for (unsigned index = 0; index < publish_count; index++)
        connection_frame(&all[sockets], publish[index], &round_bytes);
    on_matches = publish_count ? delivered : replied;

    char line[128];
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "run ", 4) == 0 && (request != NULL || publish_count))
            run(atof(line + 4));
        else if (strcmp(line, "open") == 0 || strcmp(line, "prepare") == 0 || strcmp(line, "resume") == 0)
            stage(line);
        else if (strcmp(line, "drop") == 0)
            drop();
        else
            fail("unknown command: %s", line);
    }
    return 0;
}

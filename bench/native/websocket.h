/* WebSocket frames (RFC 6455 section 5), as little of them as a benchmark needs. */
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_HEADER_MAX 14

enum { OPCODE_TEXT = 1, OPCODE_CLOSE = 8, OPCODE_PING = 9, OPCODE_PONG = 10 };

struct frame {
    int opcode;
    unsigned char *payload; /* unmasked in place; points into the buffer that was parsed */
    size_t length;
};

/* Bytes that wait: appended at the end, consumed from the start. */
struct buffer {
    unsigned char *bytes;
    size_t used, room;
};

/* Appends one unfragmented frame; masked as a client has to, with a mask of zeros, which leaves the payload as it is. */
void frame_append(struct buffer *to, int opcode, const void *payload, size_t length, int masked);

/* Reads the frame at the start of `bytes`. Returns the bytes it takes, 0 if it is not complete. */
size_t frame_read(unsigned char *bytes, size_t available, struct frame *frame);

void buffer_append(struct buffer *to, const void *bytes, size_t length);
void buffer_consume(struct buffer *from, size_t length);
void buffer_free(struct buffer *buffer);

/* Sec-WebSocket-Accept for a Sec-WebSocket-Key: 28 characters and a NUL. */
void accept_key(const char *key, size_t length, char out[29]);

#endif

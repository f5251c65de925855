#include "websocket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buffer_append(struct buffer *to, const void *bytes, size_t length)
{
    if (to->used + length > to->room) {
        to->room = (to->used + length) * 2;
        to->bytes = realloc(to->bytes, to->room);
        if (to->bytes == NULL) {
            perror("realloc");
            exit(1);
        }
    }
    memcpy(to->bytes + to->used, bytes, length);
    to->used += length;
}

void buffer_consume(struct buffer *from, size_t length)
{
    from->used -= length;
    if (from->used == 0)
        buffer_free(from); /* thousands of idle sockets shall not keep what one burst needed */
    else
        memmove(from->bytes, from->bytes + length, from->used);
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->bytes);
    memset(buffer, 0, sizeof *buffer);
}

void frame_append(struct buffer *to, int opcode, const void *payload, size_t length, int masked)
{
    unsigned char header[FRAME_HEADER_MAX] = {(unsigned char)(0x80 | opcode)};
    size_t size = 2;
    if (length < 126) {
        header[1] = (unsigned char)length;
    } else if (length < 65536) {
        header[1] = 126;
        header[2] = (unsigned char)(length >> 8);
        header[3] = (unsigned char)length;
        size = 4;
    } else {
        header[1] = 127;
        for (int index = 0; index < 8; index++)
            header[2 + index] = (unsigned char)((uint64_t)length >> (56 - 8 * index));
        size = 10;
    }
    if (masked) {
        header[1] |= 0x80;
        size += 4;
    }
    buffer_append(to, header, size);
    buffer_append(to, payload, length);
}

size_t frame_read(unsigned char *bytes, size_t available, struct frame *frame)
{
    if (available < 2)
        return 0;
    uint64_t length = bytes[1] & 0x7f;
    size_t header = 2;
    int extended = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (extended) {
        if (available < header + (size_t)extended)
            return 0;
        length = 0;
        for (int index = 0; index < extended; index++)
            length = length << 8 | bytes[2 + index];
        header += (size_t)extended;
    }
    unsigned char *mask = NULL;
    if (bytes[1] & 0x80) {
        mask = bytes + header;
        header += 4;
    }
    if (available < header || available - header < length)
        return 0;
    frame->opcode = bytes[0] & 0x0f;
    frame->payload = bytes + header;
    frame->length = (size_t)length;
    if (mask)
        for (size_t index = 0; index < length; index++)
            frame->payload[index] ^= mask[index & 3];
    return header + (size_t)length;
}

/* SHA-1 (RFC 3174) of a text that with its padding fits into two blocks. */
static void sha1(const unsigned char *text, size_t length, unsigned char digest[20])
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    unsigned char padded[128] = {0};
    size_t blocks = (length + 9 + 63) / 64;
    memcpy(padded, text, length);
    padded[length] = 0x80;
    for (int index = 0; index < 8; index++)
        padded[blocks * 64 - 1 - (size_t)index] = (unsigned char)((uint64_t)length * 8 >> (8 * index));
    for (size_t block = 0; block < blocks; block++) {
        uint32_t w[80];
        for (int t = 0; t < 16; t++) {
            const unsigned char *at = padded + block * 64 + t * 4;
            w[t] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
        }
        for (int t = 16; t < 80; t++) {
            uint32_t x = w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16];
            w[t] = x << 1 | x >> 31;
        }
        uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int t = 0; t < 80; t++) {
            uint32_t f = t < 20 ? ((b & c) | (~b & d)) + 0x5a827999
                       : t < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                       : t < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                                : (b ^ c ^ d) + 0xca62c1d6;
            uint32_t next = (a << 5 | a >> 27) + f + e + w[t];
            e = d;
            d = c;
            c = b << 30 | b >> 2;
            b = a;
            a = next;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int index = 0; index < 20; index++)
        digest[index] = (unsigned char)(h[index / 4] >> (24 - 8 * (index % 4)));
}

void accept_key(const char *key, size_t length, char out[29])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char text[64 + sizeof guid], digest[21] = {0};
    if (length > 64)
        length = 64;
    memcpy(text, key, length);
    memcpy(text + length, guid, sizeof guid - 1);
    sha1(text, length + sizeof guid - 1, digest);
    for (int group = 0; group < 7; group++) {
        uint32_t bits = (uint32_t)digest[group * 3] << 16 | (uint32_t)digest[group * 3 + 1] << 8 |
                        (group < 6 ? digest[group * 3 + 2] : 0u);
        for (int letter = 0; letter < 4; letter++)
            out[group * 4 + letter] = letters[bits >> (18 - 6 * letter) & 63];
    }
    out[27] = '=';
    out[28] = 0;
}

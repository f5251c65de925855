/* HTTP/1.1 messages (RFC 9112), as little of them as a benchmark needs: a head, and a body whose length it tells. */
#ifndef HTTP_H
#define HTTP_H

#include <stddef.h>

/* Where the parts of a message are, in the bytes that were parsed. */
struct http_message {
    const char *head, *body;
    size_t head_length, body_length;
};

/* Reads the request or response at the start of `bytes`. Returns the bytes it takes, 0 if it is not complete.
 * Without a Content-Length there is no body. */
size_t http_read(const unsigned char *bytes, size_t available, struct http_message *message);

#endif

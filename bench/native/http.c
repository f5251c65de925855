#define _GNU_SOURCE
#include "http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char LENGTH[] = "\r\ncontent-length:";

size_t http_read(const unsigned char *bytes, size_t available, struct http_message *message)
{
    const char *head = (const char *)bytes, *end = memmem(bytes, available, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    size_t length = 0, size = sizeof LENGTH - 1;
    for (const char *line = head; (line = memchr(line, '\r', (size_t)(end - line))) != NULL; line++)
        if ((size_t)(end - line) > size && strncasecmp(line, LENGTH, size) == 0)
            length = strtoul(line + size, NULL, 10); /* ends at the line's end, which is in `bytes` */
    *message = (struct http_message){head, end + 4, (size_t)(end - head), length};
    size_t head_size = message->head_length + 4;
    return available - head_size < length ? 0 : head_size + length;
}

#include "samples.h"

#include <stddef.h>
#include <stdlib.h>

#include "connections.h"

static uint32_t *samples; /* microseconds */
static size_t sample_count, sample_room;

void samples_add(uint64_t nanoseconds)
{
    if (sample_count == sample_room) {
        sample_room = sample_room * 2 + 65536;
        samples = realloc(samples, sample_room * sizeof *samples);
        if (samples == NULL)
            fail("no memory for %zu samples", sample_room);
    }
    samples[sample_count++] = (uint32_t)(nanoseconds / 1000);
}

static int by_size(const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

void samples_sort(void)
{
    if (sample_count)
        qsort(samples, sample_count, sizeof *samples, by_size);
}

void samples_forget(void)
{
    sample_count = 0;
}

uint32_t samples_percentile(double part)
{
    return sample_count ? samples[(size_t)((double)(sample_count - 1) * part)] : 0;
}

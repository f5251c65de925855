/* Latencies: kept one by one, then sorted. */
#ifndef SAMPLES_H
#define SAMPLES_H

#include <stdint.h>

void samples_add(uint64_t nanoseconds);
void samples_sort(void);
void samples_forget(void);

/* Microseconds that `part` (0 to 1) of the sorted samples are not above; 0 without samples. */
uint32_t samples_percentile(double part);

#endif

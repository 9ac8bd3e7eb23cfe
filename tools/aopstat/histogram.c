// SPDX-License-Identifier: GPL-2.0
/*
 * histogram.c - durations, each within 1/64 of its value
 *
 * Values below SUB have a bucket each; above, every power of two has SUB / 2 buckets.
 * What is above the histogram's largest value is an outlier: counted, and in max and
 * sum, but in no bucket.
 */
#include <math.h>
#include <stdlib.h>

#include "aopstat.h"

#define SUB_BITS	7
#define SUB		(1u << SUB_BITS)
#define BUCKETS		((64 - SUB_BITS + 2) * (SUB / 2))

struct histogram {
	uint64_t limit, max, count, outliers;
	double sum;
	uint64_t buckets[BUCKETS];
};

static unsigned int bucket_of(uint64_t value)
{
	unsigned int shift;

	if (value < SUB)
		return value;
	shift = 64 - SUB_BITS - __builtin_clzll(value);
	return shift * (SUB / 2) + (value >> shift);
}

/* The largest value that is in it. */
static uint64_t value_of(unsigned int bucket)
{
	unsigned int shift;

	if (bucket < SUB)
		return bucket;
	shift = bucket / (SUB / 2) - 1;
	return ((uint64_t)(bucket - shift * (SUB / 2)) << shift) + (UINT64_C(1) << shift) - 1;
}

struct histogram *histogram_new(uint64_t max)
{
	struct histogram *h = calloc(1, sizeof(*h));

	if (h)
		h->limit = max;
	return h;
}

void histogram_add(struct histogram *h, uint64_t value)
{
	h->sum += value;
	if (value > h->max)
		h->max = value;
	if (value > h->limit) {
		h->outliers++;
		return;
	}
	h->count++;
	h->buckets[bucket_of(value)]++;
}

uint64_t histogram_at(const struct histogram *h, double percent)
{
	uint64_t want = ceil(h->count * percent / 100), have = 0, value;
	unsigned int i;

	for (i = 0; i < BUCKETS; i++) {
		have += h->buckets[i];
		if (have && have >= want) {
			value = value_of(i);
			return value < h->max ? value : h->max;
		}
	}
	return 0;
}

/* A bucket is below a value when all of it is. */
uint64_t histogram_below(const struct histogram *h, uint64_t value)
{
	uint64_t have = 0;
	unsigned int i;

	for (i = 0; i < BUCKETS && value_of(i) <= value; i++)
		have += h->buckets[i];
	return have;
}

uint64_t histogram_count(const struct histogram *h)
{
	return h->count;
}

uint64_t histogram_outliers(const struct histogram *h)
{
	return h->outliers;
}

uint64_t histogram_max(const struct histogram *h)
{
	return h->max;
}

double histogram_sum(const struct histogram *h)
{
	return h->sum;
}

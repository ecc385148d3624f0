// Contestant: rows gathered by memcpy on one thread, and a plain copy of as many bytes.
// Arguments: rows of the table, rows of a batch, floats of a row, milliseconds to measure for.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_CALLS 100000

static double now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static size_t table_rows, rows, dim;
static float *table, *out;
static int32_t *ids;

static void gather(void) {
  for (size_t i = 0; i < rows; i++) {
    memcpy(out + i * dim, table + (size_t)ids[i] * dim, dim * sizeof(float));
  }
}

static void copy(void) { memcpy(out, table, rows * dim * sizeof(float)); }

/** Gigabytes a second of the median call, after warming up; every byte is read and written. */
static double rate(void (*call)(void), double measure_ms) {
  static double times[MAX_CALLS];
  for (double limit = now_ms() + measure_ms / 3; now_ms() < limit;) call();
  size_t count = 0;
  for (double limit = now_ms() + measure_ms; count < 3 || now_ms() < limit;) {
    const double started = now_ms();
    call();
    times[count++] = now_ms() - started;
    if (count == MAX_CALLS) break;
  }
  qsort(times, count, sizeof(double), ascending);
  const double ms = times[count / 2] > 0 ? times[count / 2] : 1e-6;
  return 2.0 * sizeof(float) * rows * dim / ms / 1e6;
}

int main(int count, char **arguments) {
  if (count != 5) return 2;
  table_rows = strtoul(arguments[1], NULL, 10);
  rows = strtoul(arguments[2], NULL, 10);
  dim = strtoul(arguments[3], NULL, 10);
  const double measure_ms = strtod(arguments[4], NULL);
  table = malloc(table_rows * dim * sizeof(float));
  out = malloc(rows * dim * sizeof(float));
  ids = malloc(rows * sizeof(int32_t));
  if (table == NULL || out == NULL || ids == NULL) return 1;
  memset(table, 1, table_rows * dim * sizeof(float));
  memset(out, 1, rows * dim * sizeof(float));
  for (uint32_t i = 0; i < rows; i++) ids[i] = (int32_t)((i * 0x9e3779b1u) % table_rows);
  const double gathered = rate(gather, measure_ms);
  printf("{\"figures\":{\"gather\":%f,\"copy\":%f}}\n", gathered, rate(copy, measure_ms));
  return 0;
}

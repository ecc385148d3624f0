/* Contestant: blocking TCP in C, two processes that send each other the same bytes in turns.
   tcp MESSAGE_BYTES WARM_UP_MS MEASURE_MS SIZE_MS [SIZE...] prints the median round trips. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_SAMPLES 4000000

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* 0 when the other side has ended. */
static int read_all(int s, char *buffer, size_t count) {
  while (count > 0) {
    ssize_t n = read(s, buffer, count);
    if (n <= 0) return 0;
    buffer += n;
    count -= n;
  }
  return 1;
}

static void write_all(int s, const char *buffer, size_t count) {
  while (count > 0) {
    ssize_t n = write(s, buffer, count);
    if (n < 0) fail("write");
    buffer += n;
    count -= n;
  }
}

/* Left to the scheduler, the two share a core in one run and not in the next. */
static void pin(int core) {
  cpu_set_t cores;
  if (sysconf(_SC_NPROCESSORS_ONLN) < 2) return;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  if (sched_setaffinity(0, sizeof cores, &cores) < 0) fail("sched_setaffinity");
}

static void no_delay(int s) {
  int on = 1;
  if (setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) fail("setsockopt");
}

static void serve(int listener, int count, char **sizes, char *buffer) {
  pin(1);
  int s = accept(listener, NULL, NULL);
  if (s < 0) fail("accept");
  no_delay(s);
  /* The first byte of a message is 0 when the size is done. */
  for (int i = 0; i < count; i++) {
    size_t bytes = strtoul(sizes[i], NULL, 10);
    do {
      if (!read_all(s, buffer, bytes)) exit(1);
      write_all(s, buffer, bytes);
    } while (buffer[0]);
  }
  exit(0);
}

static double round_trip(int s, char *buffer, size_t bytes, double warm_ms, double measure_ms) {
  static double samples[MAX_SAMPLES];
  size_t taken = 0;
  double warm_at = now_us() + warm_ms * 1e3, end_at = warm_at + measure_ms * 1e3;
  int last = 0;
  while (!last) {
    double started = now_us();
    last = (started >= end_at && taken > 0) || taken == MAX_SAMPLES - 1;
    buffer[0] = !last;
    write_all(s, buffer, bytes);
    if (!read_all(s, buffer, bytes)) fail("read");
    if (started >= warm_at) samples[taken++] = now_us() - started;
  }
  qsort(samples, taken, sizeof *samples, compare);
  return samples[taken / 2];
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  double warm_ms = atof(argv[2]), measure_ms = atof(argv[3]), size_ms = atof(argv[4]);
  argv[4] = argv[1];
  char **sizes = argv + 4;
  int count = argc - 4;
  size_t largest = 0;
  for (int i = 0; i < count; i++) {
    size_t bytes = strtoul(sizes[i], NULL, 10);
    if (bytes > largest) largest = bytes;
  }
  char *buffer = calloc(largest, 1);
  if (buffer == NULL) fail("calloc");
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, length) < 0) fail("bind");
  if (listen(listener, 1) < 0) fail("listen");
  if (getsockname(listener, (struct sockaddr *)&address, &length) < 0) fail("getsockname");
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) serve(listener, count, sizes, buffer);
  pin(0);
  int s = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(s, (struct sockaddr *)&address, length) < 0) fail("connect");
  no_delay(s);
  printf("{\"figures\":{");
  for (int i = 0; i < count; i++) {
    size_t bytes = strtoul(sizes[i], NULL, 10);
    double us = i == 0 ? round_trip(s, buffer, bytes, warm_ms, measure_ms)
                       : round_trip(s, buffer, bytes, size_ms, size_ms);
    if (i == 0) printf("\"roundTripUs\":%.3f", us);
    else if (bytes >= 1 << 20) printf(",\"roundTripUs%zuMiB\":%.3f", bytes >> 20, us);
    else if (bytes >= 1 << 10) printf(",\"roundTripUs%zuKiB\":%.3f", bytes >> 10, us);
    else printf(",\"roundTripUs%zuB\":%.3f", bytes, us);
  }
  printf("}}\n");
  close(s);
  waitpid(child, NULL, 0);
  return 0;
}

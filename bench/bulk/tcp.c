/* Contestant: blocking TCP in C, one process that writes blocks and one that reads as much at a time.
   tcp TOTAL_BYTES BLOCK_BYTES WARM_UP_TRANSFERS TRANSFERS prints the median in MiB per second. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_TRANSFERS 1000

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void receive(int listener, int runs, size_t total, size_t block) {
  char *buffer = malloc(block), whole = 1;
  int s = accept(listener, NULL, NULL);
  if (s < 0 || buffer == NULL) fail("accept");
  for (int run = 0; run < runs; run++) {
    for (size_t got = 0; got < total;) {
      size_t want = total - got < block ? total - got : block;
      ssize_t n = read(s, buffer, want);
      if (n <= 0) fail("read");
      got += n;
    }
    if (write(s, &whole, 1) != 1) fail("write");
  }
  exit(0);
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  size_t total = strtoull(argv[1], NULL, 10), block = strtoull(argv[2], NULL, 10);
  int warm = atoi(argv[3]), runs = warm + atoi(argv[4]);
  if (runs > MAX_TRANSFERS || runs <= warm) return 2;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, length) < 0) fail("bind");
  if (listen(listener, 1) < 0) fail("listen");
  if (getsockname(listener, (struct sockaddr *)&address, &length) < 0) fail("getsockname");
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) receive(listener, runs, total, block);
  int s = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(s, (struct sockaddr *)&address, length) < 0) fail("connect");
  char *buffer = malloc(block), whole;
  if (buffer == NULL) fail("malloc");
  for (size_t i = 0; i < block; i++) buffer[i] = (char)(i * 31 + (i >> 8));
  double rates[MAX_TRANSFERS];
  for (int run = 0; run < runs; run++) {
    double started = now_s();
    for (size_t sent = 0; sent < total;) {
      size_t want = total - sent < block ? total - sent : block;
      ssize_t n = write(s, buffer, want);
      if (n < 0) fail("write");
      sent += n;
    }
    if (read(s, &whole, 1) != 1) fail("read");
    if (run >= warm) rates[run - warm] = total / 1048576.0 / (now_s() - started);
  }
  qsort(rates, runs - warm, sizeof *rates, compare);
  printf("{\"figures\":{\"mibPerSecond\":%.3f}}\n", rates[(runs - warm) / 2]);
  waitpid(child, NULL, 0);
  return 0;
}

/* Both ends of a proxy under test, so that they cost every contestant the same and little.
   ends backend PORT
     answers each POST with 1 KiB of JSON or, when its body says "stream":true, with 50 events, one each
     time round all connections, so that streams run side by side as they do behind a busy gateway.
   ends load PORT CONNECTIONS SECONDS json|sse UPSTREAM_PORT RATE
     sends POSTs of 1 KiB over kept connections, one at a time each: with RATE 0 the next one as soon as
     an answer is whole; else so many a second, evenly, each counted from when it was due. Prints one
     line of JSON. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_FDS 4096
#define BUFFER 32768
#define EVENTS 50
#define BODY 1024

struct connection {
  char in[BUFFER];
  size_t length;
  int events_left;
  double sent_at;
};

static struct connection connections[MAX_FDS];
static int poller;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void watch(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
}

static void send_all(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n < 0) return;
    bytes += n;
    length -= n;
  }
}

static size_t content_length(const char *head) {
  const char *field = strcasestr(head, "\r\ncontent-length:");
  return field == NULL ? 0 : strtoul(field + 17, NULL, 10);
}

/* Length of the whole request or answer at the start of `c->in`, 0 while it is not whole. */
static size_t message_length(struct connection *c) {
  c->in[c->length] = 0;
  char *end = strstr(c->in, "\r\n\r\n");
  if (end == NULL) return 0;
  size_t head = end + 4 - c->in;
  *end = 0;
  int chunked = strcasestr(c->in, "\r\ntransfer-encoding: chunked") != NULL;
  size_t total = head + content_length(c->in);
  *end = '\r';
  if (!chunked) return c->length >= total ? total : 0;
  if (c->length < head + 5 || memcmp(c->in + c->length - 5, "0\r\n\r\n", 5) != 0) return 0;
  return c->length;
}

static void backend(int port) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0) fail("bind");
  if (listen(listener, 1024) < 0) fail("listen");
  socklen_t size = sizeof at;
  getsockname(listener, (struct sockaddr *)&at, &size);
  printf("%d\n", ntohs(at.sin_port));
  fflush(stdout);
  watch(listener);

  char text[BODY + 1], json[BODY + 256], event[512], chunk[600];
  int opened = snprintf(text, sizeof text, "{\"choices\":[{\"message\":{\"content\":\"");
  memset(text + opened, 'a', BODY - opened);
  memcpy(text + BODY - 5, "\"}}]}", 6);
  int length = snprintf(json, sizeof json,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        "Content-Length: %d\r\n\r\n%s",
                        BODY, text);
  int data = snprintf(event, sizeof event,
                      "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,"
                      "\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},"
                      "\"finish_reason\":null}]}\n\n");
  int framed = snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n", data, event);
  const char *sse = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                    "X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n\r\n";
  int streaming = 0, highest = 0;
  for (;;) {
    struct epoll_event ready[256];
    int n = epoll_wait(poller, ready, 256, streaming > 0 ? 0 : -1);
    for (int i = 0; i < n; i++) {
      int fd = ready[i].data.fd;
      if (fd == listener) {
        int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (client < 0 || client >= MAX_FDS) fail("accept");
        if (client > highest) highest = client;
        connections[client].length = 0;
        connections[client].events_left = 0;
        watch(client);
        continue;
      }
      struct connection *c = &connections[fd];
      ssize_t got = recv(fd, c->in + c->length, BUFFER - 1 - c->length, 0);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) {
        if (c->events_left > 0) streaming--;
        c->events_left = 0;
        close(fd);
        continue;
      }
      c->length += got;
      if (message_length(c) == 0) continue;
      int streams = strstr(c->in, "\"stream\":true") != NULL;
      c->length = 0;
      if (!streams) {
        send_all(fd, json, length);
      } else {
        send_all(fd, sse, strlen(sse));
        c->events_left = EVENTS;
        streaming++;
      }
    }
    if (streaming == 0) continue;
    for (int fd = 0; fd <= highest; fd++) {
      struct connection *c = &connections[fd];
      if (c->events_left == 0) continue;
      send_all(fd, chunk, framed);
      if (--c->events_left > 0) continue;
      send_all(fd, "0\r\n\r\n", 5);
      streaming--;
    }
  }
}

static int by_size(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

#define MAX_SAMPLES 4000000
static float samples[MAX_SAMPLES];

/* The requests of one run: one after the other (rate 0), or each when it is due. */
static char request[BODY + 512];
static int request_length, idle[MAX_FDS], idles;
static double rate, begin;
static long sent;

static void write_request(int port, int streams, int upstream) {
  char body[BODY + 1];
  int head = snprintf(body, sizeof body, "{\"model\":\"m\",%s\"messages\":[{\"role\":\"user\",\"content\":\"",
                      streams ? "\"stream\":true," : "");
  memset(body + head, 'a', BODY - head);
  memcpy(body + BODY - 4, "\"}]}", 5);
  request_length = snprintf(
      request, sizeof request,
      "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: load\r\n"
      "Accept: */*\r\nAuthorization: Bearer sk-0123456789abcdef\r\n"
      "Content-Type: application/json\r\nx-portkey-provider: openai\r\n"
      "x-portkey-custom-host: http://127.0.0.1:%d/v1\r\nContent-Length: %d\r\n\r\n%s",
      port, upstream, BODY, body);
}

static void send_due(double now) {
  while (idles > 0 && (rate == 0 || begin + sent / rate <= now)) {
    int fd = idle[--idles];
    connections[fd].sent_at = rate == 0 ? now : begin + sent / rate;
    sent++;
    send_all(fd, request, request_length);
  }
}

/* Wakes the poller when the next request is due; its events are told by their descriptor. */
static int start_timer(void) {
  int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  if (timer < 0) fail("timerfd_create");
  struct itimerspec every = {.it_interval.tv_nsec = 1e9 / rate, .it_value.tv_nsec = 1e9 / rate};
  timerfd_settime(timer, 0, &every, NULL);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = timer};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, timer, &event) < 0) fail("epoll_ctl");
  return timer;
}

static void load(int port, int count, double seconds) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  while (idles < count) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) fail("connect");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    watch(fd);
    idle[idles++] = fd;
  }
  int timer = rate == 0 ? -1 : start_timer();
  long done = 0, failed = 0;
  begin = now_s();
  double end = begin + seconds, now = begin;
  send_due(now);
  while (now < end) {
    struct epoll_event ready[256];
    int n = epoll_wait(poller, ready, 256, 100);
    now = now_s();
    for (int i = 0; i < n; i++) {
      int fd = ready[i].data.fd;
      if (fd == timer) {
        uint64_t ticks;
        if (read(timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN) fail("read");
        continue;
      }
      struct connection *c = &connections[fd];
      ssize_t got = recv(fd, c->in + c->length, BUFFER - 1 - c->length, 0);
      if (got < 0 && errno == EAGAIN) continue;
      if (got <= 0) {
        fprintf(stderr, "the proxy closed a connection after %ld answers\n", done);
        exit(1);
      }
      c->length += got;
      if (message_length(c) == 0) continue;
      if (strncmp(c->in, "HTTP/1.1 200", 12) != 0 && failed++ == 0)
        fprintf(stderr, "%s\n", c->in);
      if (done < MAX_SAMPLES) samples[done] = (now - c->sent_at) * 1e3;
      done++;
      c->length = 0;
      idle[idles++] = fd;
      if (rate == 0) send_due(now);
    }
    if (rate > 0) send_due(now);
  }
  double took = now_s() - begin;
  long kept = done < MAX_SAMPLES ? done : MAX_SAMPLES;
  qsort(samples, kept, sizeof *samples, by_size);
  printf("{\"done\":%ld,\"failed\":%ld,\"seconds\":%.6f,\"p50Ms\":%.4f,\"p99Ms\":%.4f}\n", done, failed,
         took, kept ? samples[kept / 2] : 0, kept ? samples[kept * 99 / 100] : 0);
}

int main(int count, char **arguments) {
  signal(SIGPIPE, SIG_IGN);
  poller = epoll_create1(0);
  if (count == 3 && strcmp(arguments[1], "backend") == 0) backend(atoi(arguments[2]));
  if (count != 8 || strcmp(arguments[1], "load") != 0) return 2;
  int port = atoi(arguments[2]);
  write_request(port, strcmp(arguments[5], "sse") == 0, atoi(arguments[6]));
  rate = atof(arguments[7]);
  load(port, atoi(arguments[3]), atof(arguments[4]));
  return 0;
}

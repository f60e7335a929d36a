/* TCP echo in C: the client that is the same for every server, and a server with nothing around epoll.
 *
 *   echo serve                                        prints its port, serves until it is killed
 *   echo ask PORT PID CONNECTIONS MESSAGES BYTES      prints what it measured, three numbers:
 *     CPU microseconds of process PID for each message, median microseconds of a round trip, messages a second
 *
 * Each connection sends a message, waits for all of it to come back, and sends the next.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void check(long result, const char *what) {
  if (result < 0) {
    perror(what);
    exit(1);
  }
}

static double seconds(clockid_t clock) {
  struct timespec t;
  check(clock_gettime(clock, &t), "clock_gettime");
  return t.tv_sec + t.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static void watch(int epoll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static void serve(void) {
  int one = 1, epoll = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  static char buffer[65536];
  check(bind(listener, (void *)&address, sizeof address), "bind");
  check(listen(listener, 4096), "listen");
  check(getsockname(listener, (void *)&address, &size), "getsockname");
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  watch(epoll, listener);
  for (;;) {
    struct epoll_event events[256];
    int n = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < n; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
          setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          watch(epoll, fd);
        }
        continue;
      }
      ssize_t got = recv(fd, buffer, sizeof buffer, 0);
      if (got <= 0) close(fd);
      else check(send(fd, buffer, got, MSG_NOSIGNAL), "send");
    }
  }
}

static void ask(int port, pid_t pid, int connections, long messages, int bytes) {
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
  int one = 1, epoll = epoll_create1(0), most = 1 << 16;
  char *message = malloc(bytes), *buffer = malloc(1 << 16);
  int *got = calloc(most, sizeof *got);
  double *sent = calloc(most, sizeof *sent), *trips = malloc(messages * sizeof *trips);
  int *fds = malloc(connections * sizeof *fds);
  struct rlimit limit = {8192, 8192};
  setrlimit(RLIMIT_NOFILE, &limit);
  memset(message, 'x', bytes);
  for (int i = 0; i < connections; i++) {
    int fd = fds[i] = socket(AF_INET, SOCK_STREAM, 0);
    check(connect(fd, (void *)&address, sizeof address), "connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    check(send(fd, message, bytes, 0), "send"); /* once around, so that all are served */
    for (int n = 0; n < bytes;) {
      ssize_t part = recv(fd, buffer, bytes - n, 0);
      if (part <= 0) check(-1, "recv");
      n += part;
    }
    watch(epoll, fd);
  }
  clockid_t clock;
  if (clock_getcpuclockid(pid, &clock)) check(-1, "clock_getcpuclockid");
  double cpu = seconds(clock), began = seconds(CLOCK_MONOTONIC);
  long started = 0, done = 0;
  for (int i = 0; i < connections && started < messages; i++, started++) {
    sent[fds[i]] = seconds(CLOCK_MONOTONIC);
    check(send(fds[i], message, bytes, 0), "send");
  }
  while (done < messages) {
    struct epoll_event events[256];
    int n = epoll_wait(epoll, events, 256, 30000);
    if (n == 0) errno = ETIMEDOUT, check(-1, "the server");
    for (int i = 0; i < n; i++) {
      int fd = events[i].data.fd;
      ssize_t part = recv(fd, buffer, 1 << 16, 0);
      if (part <= 0) check(-1, "recv");
      got[fd] += part;
      if (got[fd] < bytes) continue;
      double now = seconds(CLOCK_MONOTONIC);
      got[fd] = 0;
      trips[done++] = now - sent[fd];
      if (started < messages) {
        started++;
        sent[fd] = now;
        check(send(fd, message, bytes, 0), "send");
      }
    }
  }
  double wall = seconds(CLOCK_MONOTONIC) - began;
  cpu = seconds(clock) - cpu;
  qsort(trips, messages, sizeof *trips, compare);
  printf("%.3f %.1f %.0f\n", cpu / messages * 1e6, trips[messages / 2] * 1e6, messages / wall);
}

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "serve")) serve();
  if (argc == 7 && !strcmp(argv[1], "ask")) {
    ask(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atol(argv[5]), atoi(argv[6]));
    return 0;
  }
  fprintf(stderr, "usage: echo serve | echo ask PORT PID CONNECTIONS MESSAGES BYTES\n");
  return 2;
}

// A child process for work that may take much memory, or fail. In: a function. Out: how the process that ran it ended.
// What must hold: the child ends without running what the host has registered for its own end, and with the host.
#define _GNU_SOURCE
#include "driver/api.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

// Readers are in the loader, in LLVM or in the parser, and hold locks that no child could open; a writer forks.
static pthread_rwlock_t forking = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

void process_hold(void) { pthread_rwlock_rdlock(&forking); }
void process_release(void) { pthread_rwlock_unlock(&forking); }

// As after exec: the host's handlers are not meant for the compiler's mistakes.
static void drop_handlers(void) {
  for (int sig = 1; sig < NSIG; sig++) {
    struct sigaction now;
    if (sigaction(sig, NULL, &now) == 0 && now.sa_handler != SIG_IGN && now.sa_handler != SIG_DFL)
      signal(sig, SIG_DFL);
  }
}

// The compiler takes tens of MiB and then ends: with huge pages it meets a fifth of the page faults.
static void use_huge_pages(void) {
  enum { MIB = 1 << 20 };
  const uintptr_t thread_heap = (uintptr_t)64 * MIB; // the size and alignment of malloc's heaps for threads
  mallopt(M_MMAP_THRESHOLD, 32 * MIB);
  mallopt(M_TOP_PAD, 256 * MIB);
  void *volatile block = malloc(MIB); // the heap grows
  uintptr_t from = ((uintptr_t)block + MIB) / MIB * MIB, to = (uintptr_t)sbrk(0);
  if (from > to) to = (from / thread_heap + 1) * thread_heap;
  madvise((char *)block + (from - (uintptr_t)block), to - from, MADV_HUGEPAGE);
  free(block);
}

static _Noreturn void child(pid_t host, const sigset_t *mask, void (*work)(void *user), void *user) {
  drop_handlers();
  pthread_sigmask(SIG_SETMASK, mask, NULL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  use_huge_pages();
  if (getppid() == host) work(user); // else it ended before it could be watched
  _exit(0);
}

void process_limit(unsigned seconds) {
  sigset_t alarm_alone;
  sigemptyset(&alarm_alone);
  sigaddset(&alarm_alone, SIGALRM);
  signal(SIGALRM, SIG_DFL);
  pthread_sigmask(SIG_UNBLOCK, &alarm_alone, NULL);
  alarm(seconds);
}

int process_run(void (*work)(void *user), void *user, int *status) {
  sigset_t all, mask;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &mask);
  pthread_rwlock_wrlock(&forking);
  pid_t host = getpid(), pid = fork();
  int error = errno;
  if (pid == 0) child(host, &mask, work, user);
  pthread_rwlock_unlock(&forking);
  pthread_sigmask(SIG_SETMASK, &mask, NULL);
  if (pid < 0) return error;
  pid_t ended;
  while ((ended = waitpid(pid, status, 0)) < 0 && errno == EINTR) continue;
  if (ended != pid) *status = -1;
  return 0;
}

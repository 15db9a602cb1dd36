// A child process for work that may take much memory, or fail. In: a function. Out: how the process that ran it ended.
// What must hold: the child ends without running what the host has registered for its own end, and with the host.
#define _GNU_SOURCE
#include "driver/api.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

// As after exec: the host's handlers are not meant for the compiler's mistakes.
static void drop_handlers(void) {
  for (int sig = 1; sig < NSIG; sig++) {
    struct sigaction now;
    if (sigaction(sig, NULL, &now) == 0 && now.sa_handler != SIG_IGN && now.sa_handler != SIG_DFL)
      signal(sig, SIG_DFL);
  }
}

static _Noreturn void child(pid_t host, const sigset_t *mask, void (*work)(void *user), void *user) {
  drop_handlers();
  pthread_sigmask(SIG_SETMASK, mask, NULL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() == host) work(user); // else it ended before it could be watched
  _exit(0);
}

int process_run(void (*work)(void *user), void *user, int *status) {
  sigset_t all, mask;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &mask);
  pid_t host = getpid(), pid = fork();
  int error = errno;
  if (pid == 0) child(host, &mask, work, user);
  pthread_sigmask(SIG_SETMASK, &mask, NULL);
  if (pid < 0) return error;
  pid_t ended;
  while ((ended = waitpid(pid, status, 0)) < 0 && errno == EINTR) continue;
  if (ended != pid) *status = -1;
  return 0;
}

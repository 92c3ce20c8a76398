/*
 * What the SQL process may not do. The engine refuses files and settings by itself; this is for the
 * day on which somebody finds a way around that: no sockets, no programs, no look into another
 * process, not more memory than agreed.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "query.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "name this machine's AUDIT_ARCH"
#endif

enum { X32_BIT = 0x40000000 }; /* x86_64 only; no number of another machine has it */

static void
limit(int resource, int64_t value)
{
    struct rlimit limit = { (rlim_t)value, (rlim_t)value };
    (void)setrlimit((__rlimit_resource_t)resource, &limit);
}

static int
forbid_calls(void)
{
    static const unsigned forbidden[] = {
        SYS_socket,   SYS_connect,           SYS_bind,   SYS_listen,           SYS_execve,
        SYS_execveat, SYS_io_uring_setup,    SYS_ptrace, SYS_process_vm_readv, SYS_pidfd_getfd,
        SYS_bpf,      SYS_process_vm_writev,
    };
    enum { HEAD = 4, COUNT = MR_COUNT(forbidden) };
    struct sock_filter filter[HEAD + COUNT + 2] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 0, COUNT + 3), /* numbers mean others there */
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, COUNT + 1, 0),
    };
    for (unsigned i = 0; i < COUNT; i++)
        filter[HEAD + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, forbidden[i],
                                                        (unsigned char)(COUNT - i), 0);
    filter[HEAD + COUNT] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[HEAD + COUNT + 1] =
        (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    struct sock_fprog program = { (unsigned short)MR_COUNT(filter), filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int
sandbox_confine(int64_t memory)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)close_range(SANDBOX_FD + 1, ~0U, 0);
    (void)clearenv();
    int64_t most = 2 * memory + ((int64_t)1 << 30); /* code, stacks and mapped tails beside */
#ifdef __SANITIZE_ADDRESS__
    most = (int64_t)RLIM_INFINITY; /* the sanitizer's shadow is larger than any limit */
#endif
    limit(RLIMIT_AS, most);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, (int64_t)4 << 30);
    return forbid_calls();
}

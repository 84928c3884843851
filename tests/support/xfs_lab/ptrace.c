/* Loaded into User-Mode Linux (LD_PRELOAD) in front of the C library's ptrace(), for two things.
 *
 * Room for all registers. Before Linux 6.15 User-Mode Linux keeps 2696 bytes of a process's extended registers, and the
 * host wants the whole of them back; on a CPU with AMX those are 11 kB, so it dies before its first process runs.
 * What is missing is the tile registers. No process in there can use them, as its kernel grants no permission to.
 *
 * No survivors. Processes of the machine are processes of the host. If User-Mode Linux were killed, they would go on
 * without it, and their system calls would be the host's; the option EXITKILL makes them die with it. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

enum { FEATURES = 512, KNOWN_FEATURES = 0x3ff }; /* the mask's offset; x87 to PKRU, what fits into 2696 bytes */

static long (*next)(int, ...);
static unsigned whole; /* bytes of extended registers on this host */
/* Not on the stack, which has no room for it; one thread alone traces. */
static char room[64 << 10] __attribute__((aligned(64)));

__attribute__((constructor)) static void look(void) {
    unsigned a, c, d;
    next = (long (*)(int, ...))dlsym(RTLD_NEXT, "ptrace");
    if (!__get_cpuid_count(0xd, 0, &a, &whole, &c, &d) || whole > sizeof room) whole = 0;
}

static long put_registers(int pid, void *kind, const struct iovec *given) {
    struct iovec all = {room, whole};
    uint64_t features;
    memcpy(room, given->iov_base, given->iov_len);
    memset(room + given->iov_len, 0, whole - given->iov_len);
    memcpy(&features, room + FEATURES, sizeof features);
    features &= KNOWN_FEATURES;
    memcpy(room + FEATURES, &features, sizeof features);
    return next(PTRACE_SETREGSET, pid, kind, &all);
}

long ptrace(enum __ptrace_request request, ...) {
    va_list rest;
    va_start(rest, request);
    int pid = va_arg(rest, int);
    void *address = va_arg(rest, void *), *data = va_arg(rest, void *);
    va_end(rest);
    if (request == PTRACE_SETREGSET && address == (void *)NT_X86_XSTATE && ((struct iovec *)data)->iov_len < whole)
        return put_registers(pid, address, data);
    if (request == PTRACE_SETOPTIONS) data = (void *)((uintptr_t)data | PTRACE_O_EXITKILL);
    return next(request, pid, address, data);
}

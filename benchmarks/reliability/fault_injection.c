/* Counts the calls that change files below a folder, and makes one of them go wrong.
 *
 * Preloaded (LD_PRELOAD) into a process, which calls `fault_arm`. Each call below the folder is
 * written to a log, with what it wrote and with whether the fault fired there. A fault that is
 * not in the log has not happened.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>
#include <limits.h>

enum { WATCH, KILL_BEFORE, KILL_AFTER, FAIL, FAIL_ON, SHORT, SHORT_FAIL, FLIP, CUT_BEFORE, CUT_AFTER };

#define EXT4_IOC_SHUTDOWN 0x8004587dUL

static int armed, kind, error_number, log_descriptor = -1, mount_descriptor = -1;
static long at, number;
static char prefix[PATH_MAX];

int fault_arm(const char *folder, const char *log, long place, int fault, int error, int mount)
{
    strncpy(prefix, folder, sizeof prefix - 1);
    log_descriptor = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    at = place, kind = fault, error_number = error, mount_descriptor = mount, number = 0;
    armed = log_descriptor >= 0;
    return armed;
}

void fault_disarm(void) { armed = 0; }

struct call {
    const char *name;
    char path[PATH_MAX], other[PATH_MAX];
    const void *data;
    size_t size;
    long number;
    int hit;
};

static void resolve(int folder, const char *path, char *out)
{
    char link[64];
    out[0] = 0;
    if (path && path[0] == '/') {
        strncpy(out, path, PATH_MAX - 1);
        return;
    }
    ssize_t length = -1;
    if (folder == AT_FDCWD) {
        if (syscall(SYS_getcwd, out, PATH_MAX) > 0) length = (ssize_t)strlen(out);
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        length = syscall(SYS_readlinkat, AT_FDCWD, link, out, PATH_MAX - 1);
    }
    if (length < 0) length = 0;
    out[length] = 0;
    if (path && path[0]) {
        strncat(out, "/", PATH_MAX - 1 - strlen(out));
        strncat(out, path, PATH_MAX - 1 - strlen(out));
    }
}

static int inside(const char *path)
{
    size_t length = strlen(prefix);
    return strncmp(path, prefix, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static void put(const void *data, size_t size)
{
    const char *bytes = data;
    while (size) {
        long done = syscall(SYS_write, log_descriptor, bytes, size);
        if (done <= 0) return;
        bytes += done, size -= (size_t)done;
    }
}

static void note(struct call *call, long result)
{
    char head[256];
    size_t data = call->data && result > 0 ? (size_t)result : 0;
    int length = snprintf(head, sizeof head, "%ld %s %d %ld %zu %zu %zu\n", call->number, call->name,
                          call->hit, result, strlen(call->path), strlen(call->other), data);
    put(head, (size_t)length);
    put(call->path, strlen(call->path));
    put(call->other, strlen(call->other));
    if (data) put(call->data, data);
}

static void end_process(void) { for (;;) syscall(SYS_kill, (long)getpid(), (long)SIGKILL); }

static void cut_power(void)
{
    uint32_t without_log_flush = 2;
    if (syscall(SYS_ioctl, (long)mount_descriptor, EXT4_IOC_SHUTDOWN, &without_log_flush) != 0)
        syscall(SYS_exit_group, 99L);
    end_process();
}

/* 0: go on. -1: the call fails with errno. */
static int before(struct call *call)
{
    call->number = 0, call->hit = 0;
    if (!armed || !(inside(call->path) || (call->other[0] && inside(call->other)))) return 0;
    call->number = ++number;
    int onward = kind == FAIL_ON || kind == SHORT_FAIL;
    call->hit = kind != WATCH && (call->number == at || (onward && call->number > at));
    if (!call->hit) return 0;
    if (kind == KILL_BEFORE || kind == CUT_BEFORE) {
        note(call, 0);
        if (kind == CUT_BEFORE) cut_power();
        end_process();
    }
    if (kind == FAIL || kind == FAIL_ON || (kind == SHORT_FAIL && call->number > at)) {
        note(call, -1);
        errno = error_number;
        return -1;
    }
    return 0;
}

static long after(struct call *call, long result)
{
    if (!call->number) return result;
    int saved = errno;
    note(call, result);
    if (call->hit && kind == KILL_AFTER) end_process();
    if (call->hit && kind == CUT_AFTER) cut_power();
    errno = saved;
    return result;
}

static int open_file(int folder, const char *path, int flags, mode_t mode)
{
    struct call call = {.name = flags & O_TRUNC ? "create" : "open"};
    if (!(flags & (O_CREAT | O_TRUNC)))
        return (int)syscall(SYS_openat, folder, path, flags, mode);
    resolve(folder, path, call.path);
    if (before(&call)) return -1;
    return (int)after(&call, syscall(SYS_openat, folder, path, flags, mode));
}

#define MODE(flags, mode) do { va_list rest; va_start(rest, flags); \
    mode = (flags) & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; va_end(rest); } while (0)

int open(const char *path, int flags, ...) { mode_t m; MODE(flags, m); return open_file(AT_FDCWD, path, flags, m); }
int open64(const char *path, int flags, ...) { mode_t m; MODE(flags, m); return open_file(AT_FDCWD, path, flags, m); }
int openat(int f, const char *path, int flags, ...) { mode_t m; MODE(flags, m); return open_file(f, path, flags, m); }
int openat64(int f, const char *path, int flags, ...) { mode_t m; MODE(flags, m); return open_file(f, path, flags, m); }

ssize_t write(int descriptor, const void *data, size_t size)
{
    struct call call = {.name = "write", .data = data, .size = size};
    if (!armed || descriptor == log_descriptor) return syscall(SYS_write, descriptor, data, size);
    resolve(descriptor, NULL, call.path);
    if (before(&call)) return -1;
    if (call.hit && (kind == SHORT || kind == SHORT_FAIL) && size > 1) size /= 2;
    if (call.hit && kind == FLIP && size) {
        char *copy = malloc(size);
        memcpy(copy, data, size);
        copy[size / 2] ^= 4;
        long done = syscall(SYS_write, descriptor, copy, size);
        call.data = copy;
        after(&call, done);
        free(copy);
        return done;
    }
    return after(&call, syscall(SYS_write, descriptor, data, size));
}

ssize_t writev(int descriptor, const struct iovec *parts, int count)
{
    struct call call = {.name = "writev"};
    if (!armed) return syscall(SYS_writev, descriptor, parts, count);
    resolve(descriptor, NULL, call.path);
    if (before(&call)) return -1;
    return after(&call, syscall(SYS_writev, descriptor, parts, count));
}

static int on_descriptor(const char *name, long system, int descriptor, long value)
{
    struct call call = {.name = name};
    snprintf(call.other, sizeof call.other, "%ld", value);
    if (!armed) return (int)syscall(system, descriptor, value);
    resolve(descriptor, NULL, call.path);
    if (before(&call)) return -1;
    return (int)after(&call, syscall(system, descriptor, value));
}

int fsync(int descriptor) { return on_descriptor("fsync", SYS_fsync, descriptor, 0); }
int fdatasync(int descriptor) { return on_descriptor("fsync", SYS_fdatasync, descriptor, 0); }
int ftruncate(int descriptor, off_t size) { return on_descriptor("truncate", SYS_ftruncate, descriptor, size); }
int ftruncate64(int descriptor, off64_t size) { return on_descriptor("truncate", SYS_ftruncate, descriptor, size); }

static int on_two(int f, const char *from, int t, const char *to, unsigned flags)
{
    struct call call = {.name = "rename"};
    resolve(f, from, call.path);
    resolve(t, to, call.other);
    if (before(&call)) return -1;
    return (int)after(&call, syscall(SYS_renameat2, f, from, t, to, flags));
}

int rename(const char *from, const char *to) { return on_two(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int f, const char *from, int t, const char *to) { return on_two(f, from, t, to, 0); }
int renameat2(int f, const char *from, int t, const char *to, unsigned flags) { return on_two(f, from, t, to, flags); }

static int remove_name(int folder, const char *path, int flags)
{
    struct call call = {.name = flags & AT_REMOVEDIR ? "rmdir" : "unlink"};
    resolve(folder, path, call.path);
    if (before(&call)) return -1;
    return (int)after(&call, syscall(SYS_unlinkat, folder, path, flags));
}

int unlink(const char *path) { return remove_name(AT_FDCWD, path, 0); }
int unlinkat(int folder, const char *path, int flags) { return remove_name(folder, path, flags); }
int rmdir(const char *path) { return remove_name(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int folder, const char *path, mode_t mode)
{
    struct call call = {.name = "mkdir"};
    resolve(folder, path, call.path);
    if (before(&call)) return -1;
    return (int)after(&call, syscall(SYS_mkdirat, folder, path, mode));
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

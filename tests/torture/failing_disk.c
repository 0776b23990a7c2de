/* Preloaded into a process, makes the disk fail at the n-th write below a folder, and from then on.
 *
 * A write is whatever changes the disk: opening a file to write, writing, truncating, syncing,
 * renaming, making a folder or a link. Removing always works, as it does on a full disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[PATH_MAX];
static size_t root_length;
static atomic_long left, seen;
static int number;

/* Fail with error `with` at write `at` (counted from 1) below `folder`; 0 counts only. */
void disk_fails(const char *folder, long at, int with) {
    snprintf(root, sizeof root, "%s", folder);
    root_length = strlen(root);
    left = at;
    seen = 0;
    number = with;
}

long disk_writes(void) { return seen; }

static int fails(const char *path) {
    if (root_length == 0 || path == NULL || strncmp(path, root, root_length) != 0)
        return 0;
    long before = atomic_fetch_add(&seen, 1) + 1;
    if (left == 0 || before < left)
        return 0;
    errno = number;
    return 1;
}

static int fails_at(int folder, const char *path) {
    char link[64], whole[PATH_MAX];
    if (path != NULL && path[0] == '/')
        return fails(path);
    if (folder == AT_FDCWD) {
        if (getcwd(whole, sizeof whole) == NULL)
            return 0;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t length = readlink(link, whole, sizeof whole - 1);
        if (length < 0)
            return 0;
        whole[length] = 0;
    }
    return fails(whole);
}

static int fails_on(int file) { return fails_at(file, ""); }

static int writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT); }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode_t mode = va_arg(rest, mode_t);                                                        \
        va_end(rest);                                                                              \
        return writes(flags) && fails_at(AT_FDCWD, path) ? -1 : REAL(name)(path, flags, mode);     \
    }
#define OPENAT(name)                                                                               \
    int name(int folder, const char *path, int flags, ...) {                                       \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode_t mode = va_arg(rest, mode_t);                                                        \
        va_end(rest);                                                                              \
        return writes(flags) && fails_at(folder, path) ? -1                                        \
                                                       : REAL(name)(folder, path, flags, mode);    \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int file, const void *from, size_t size) {
    return fails_on(file) ? -1 : REAL(write)(file, from, size);
}
ssize_t writev(int file, const struct iovec *from, int count) {
    return fails_on(file) ? -1 : REAL(writev)(file, from, count);
}
ssize_t pwrite(int file, const void *from, size_t size, off_t at) {
    return fails_on(file) ? -1 : REAL(pwrite)(file, from, size, at);
}
ssize_t pwrite64(int file, const void *from, size_t size, off64_t at) {
    return fails_on(file) ? -1 : REAL(pwrite64)(file, from, size, at);
}
int ftruncate(int file, off_t size) { return fails_on(file) ? -1 : REAL(ftruncate)(file, size); }
int ftruncate64(int file, off64_t size) {
    return fails_on(file) ? -1 : REAL(ftruncate64)(file, size);
}
int fsync(int file) { return fails_on(file) ? -1 : REAL(fsync)(file); }
int fdatasync(int file) { return fails_on(file) ? -1 : REAL(fdatasync)(file); }
int mkdir(const char *path, mode_t mode) {
    return fails_at(AT_FDCWD, path) ? -1 : REAL(mkdir)(path, mode);
}
int rename(const char *from, const char *to) {
    return fails_at(AT_FDCWD, to) ? -1 : REAL(rename)(from, to);
}
int link(const char *from, const char *to) {
    return fails_at(AT_FDCWD, to) ? -1 : REAL(link)(from, to);
}
int symlink(const char *from, const char *to) {
    return fails_at(AT_FDCWD, to) ? -1 : REAL(symlink)(from, to);
}

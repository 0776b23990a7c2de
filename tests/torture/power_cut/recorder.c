/* Preloaded into a process, records every change below a folder, with its bytes, in the order made.
 *
 * What a power cut may leave of these changes is worked out from the record: see states.py. Folders
 * and files go by their inode, so that a change finds its file whatever that is called by then. What
 * gets around the C library (a raw system call, a mapped page) is not seen; replaying the complete
 * record and comparing it with the disk shows whether there was any.
 *
 * A line of the record is `kind fields...`, tab-separated; a write has its bytes after the line. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char root[PATH_MAX];
static size_t root_length;
static int record = -1;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void take_turn(void) {
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    pthread_mutex_lock(&turn);
    if (record >= 0)
        while (fcntl(record, F_SETLKW, &all) != 0 && errno == EINTR)
            ;
}

static void end_turn(void) {
    struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    int kept = errno;
    if (record >= 0)
        fcntl(record, F_SETLK, &all);
    pthread_mutex_unlock(&turn);
    errno = kept;
}

static void turn_of_a_copy(void) { pthread_mutex_init(&turn, NULL); }

/* Record what happens below `folder` (its real path) into `file`; an empty folder ends it. */
void record_changes(const char *folder, const char *file) {
    take_turn();
    int before = record;
    record = -1;
    root_length = strlen(folder);
    snprintf(root, sizeof root, "%s", folder);
    if (root_length > 0)
        record = REAL(open64)(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    pthread_mutex_unlock(&turn);
    if (before >= 0)
        close(before);
}

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("CUT_ROOT"), *file = getenv("CUT_RECORD");
    pthread_atfork(NULL, NULL, turn_of_a_copy);
    if (folder != NULL && file != NULL)
        record_changes(folder, file);
}

static void say(const struct iovec *data, int count, const char *line, ...) {
    char text[2 * PATH_MAX];
    struct iovec parts[count + 1];
    va_list rest;
    va_start(rest, line);
    int length = vsnprintf(text, sizeof text, line, rest);
    va_end(rest);
    int kept = errno;
    size_t total = parts[0].iov_len = length;
    parts[0].iov_base = text;
    for (int part = 0; part < count; part++)
        total += (parts[part + 1] = data[part]).iov_len;
    if (REAL(writev)(record, parts, count + 1) != (ssize_t)total)
        abort(); /* a record with a hole proves nothing */
    errno = kept;
}

/* Say something that the tests want to know the moment of. */
void record_mark(const char *text) {
    if (record < 0)
        return;
    take_turn();
    say(NULL, 0, "mark\t%s\n", text);
    end_turn();
}

static int is_below(const char *path) {
    return root_length > 0 && strncmp(path, root, root_length) == 0 &&
           (path[root_length] == '/' || path[root_length] == 0);
}

struct place {
    ino_t folder, file; /* file is 0 where there is none */
    char name[NAME_MAX + 1];
};

/* Find the folder and the name of a path; false where it is not below the root. */
static int find(int at, const char *path, struct place *found) {
    char whole[2 * PATH_MAX], parent[PATH_MAX], link[64];
    struct stat folder, file;
    int kept = errno, below = 0;
    if (record < 0 || path == NULL || path[0] == 0)
        return 0;
    if (path[0] == '/')
        snprintf(whole, sizeof whole, "%s", path);
    else {
        ssize_t length;
        snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
        length = readlink(link, whole, PATH_MAX - 1);
        if (length < 0)
            goto end;
        snprintf(whole + length, sizeof whole - length, "/%s", path);
    }
    size_t length = strlen(whole);
    while (length > 1 && whole[length - 1] == '/')
        whole[--length] = 0;
    char *slash = strrchr(whole, '/');
    snprintf(found->name, sizeof found->name, "%s", slash + 1);
    *slash = 0;
    if (realpath(whole, parent) == NULL || !is_below(parent) || stat(parent, &folder) != 0)
        goto end;
    found->folder = folder.st_ino;
    snprintf(whole, sizeof whole, "%.4095s/%s", parent, found->name);
    found->file = lstat(whole, &file) == 0 ? file.st_ino : 0;
    below = 1;
end:
    errno = kept;
    return below;
}

static ino_t opened(int file, off64_t *size) {
    char link[64], path[PATH_MAX];
    struct stat found;
    int kept = errno;
    ino_t number = 0;
    if (record < 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length > 0) {
        path[length] = 0;
        if (is_below(path) && fstat(file, &found) == 0 &&
            (S_ISREG(found.st_mode) || S_ISDIR(found.st_mode))) {
            number = found.st_ino;
            if (size != NULL)
                *size = found.st_size;
        }
    }
    errno = kept;
    return number;
}

#define INO(number) (unsigned long)(number)

/* Opening. */
static void say_opened(int file, int flags, const struct place *place) {
    ino_t number = opened(file, NULL);
    if (number == 0)
        return;
    if (place->file == 0)
        say(NULL, 0, "create\t%lu\t%s\t%lu\tfile\n", INO(place->folder), place->name, INO(number));
    else if (flags & O_TRUNC)
        say(NULL, 0, "truncate\t%lu\t0\n", INO(number));
}

#define OPENED(at, path, flags, call)                                                              \
    struct place place;                                                                            \
    if (!((flags) & (O_CREAT | O_TRUNC)) || record < 0)                                            \
        return call;                                                                               \
    take_turn();                                                                                   \
    int below = find(at, path, &place), file = call;                                               \
    if (below && file >= 0)                                                                        \
        say_opened(file, flags, &place);                                                           \
    end_turn();                                                                                    \
    return file;

#define MODE                                                                                       \
    va_list rest;                                                                                  \
    va_start(rest, flags);                                                                         \
    mode_t mode = va_arg(rest, mode_t);                                                            \
    va_end(rest);

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        MODE OPENED(AT_FDCWD, path, flags, REAL(name)(path, flags, mode))                          \
    }
#define OPENAT(name)                                                                               \
    int name(int folder, const char *path, int flags, ...) {                                       \
        MODE OPENED(folder, path, flags, REAL(name)(folder, path, flags, mode))                    \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
int creat(const char *path, mode_t mode) { return open(path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) {
    return open64(path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

#define FOPEN(name)                                                                                \
    FILE *name(const char *path, const char *mode) {                                               \
        struct place place;                                                                        \
        if (record < 0 || mode[0] == 'r')                                                          \
            return REAL(name)(path, mode);                                                         \
        take_turn();                                                                               \
        int below = find(AT_FDCWD, path, &place);                                                  \
        FILE *file = REAL(name)(path, mode);                                                       \
        if (below && file != NULL)                                                                 \
            say_opened(fileno(file), mode[0] == 'w' ? O_TRUNC : 0, &place);                        \
        end_turn();                                                                                \
        return file;                                                                               \
    }
FOPEN(fopen)
FOPEN(fopen64)

/* Writing. */
static void say_written(int file, const struct iovec *data, int count, off64_t at, size_t size) {
    ino_t number = opened(file, NULL);
    if (number == 0)
        return;
    struct iovec parts[count];
    size_t left = size;
    int used = 0;
    for (; used < count && left > 0; used++) {
        parts[used] = data[used];
        if (parts[used].iov_len > left)
            parts[used].iov_len = left;
        left -= parts[used].iov_len;
    }
    say(parts, used, "write\t%lu\t%ld\t%zu\n", INO(number), (long)at, size);
}

#define WRITTEN(file, data, count, at, call)                                                       \
    if (record < 0 || opened(file, NULL) == 0)                                                     \
        return call;                                                                               \
    take_turn();                                                                                   \
    ssize_t written = call;                                                                        \
    if (written > 0)                                                                               \
        say_written(file, data, count, at, written);                                               \
    end_turn();                                                                                    \
    return written;
/* After a write the file's position is its end. */
#define BEFORE_POSITION(file) (lseek64(file, 0, SEEK_CUR) - written)

ssize_t write(int file, const void *from, size_t size) {
    struct iovec data = {(void *)from, size};
    WRITTEN(file, &data, 1, BEFORE_POSITION(file), REAL(write)(file, from, size))
}
ssize_t writev(int file, const struct iovec *data, int count) {
    WRITTEN(file, data, count, BEFORE_POSITION(file), REAL(writev)(file, data, count))
}
#define PWRITE(name, offset)                                                                       \
    ssize_t name(int file, const void *from, size_t size, offset at) {                             \
        struct iovec data = {(void *)from, size};                                                  \
        WRITTEN(file, &data, 1, at, REAL(name)(file, from, size, at))                              \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)
#define PWRITEV(name, offset)                                                                      \
    ssize_t name(int file, const struct iovec *data, int count, offset at) {                       \
        WRITTEN(file, data, count, at, REAL(name)(file, data, count, at))                          \
    }
PWRITEV(pwritev, off_t)
PWRITEV(pwritev64, off64_t)

/* Copied inside the kernel: what arrived is read back. */
static void say_copied(int file, off64_t at, size_t size) {
    char link[64], *data = malloc(size);
    struct iovec whole = {data, size};
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    int reader = REAL(open64)(link, O_RDONLY);
    if (data == NULL || reader < 0 || pread64(reader, data, size, at) != (ssize_t)size)
        abort();
    close(reader);
    say_written(file, &whole, 1, at, size);
    free(data);
}

#define COPIED(file, at, call)                                                                     \
    if (record < 0 || opened(file, NULL) == 0)                                                     \
        return call;                                                                               \
    take_turn();                                                                                   \
    ssize_t written = call;                                                                        \
    if (written > 0)                                                                               \
        say_copied(file, at, written);                                                             \
    end_turn();                                                                                    \
    return written;

ssize_t sendfile(int to, int from, off_t *at, size_t size) {
    COPIED(to, BEFORE_POSITION(to), REAL(sendfile)(to, from, at, size))
}
ssize_t sendfile64(int to, int from, off64_t *at, size_t size) {
    COPIED(to, BEFORE_POSITION(to), REAL(sendfile64)(to, from, at, size))
}
ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *target, size_t size, unsigned f) {
    COPIED(to, target == NULL ? BEFORE_POSITION(to) : *target - written,
           REAL(copy_file_range)(from, at, to, target, size, f))
}

#define CHANGED(file, call, line, ...)                                                             \
    ino_t number = opened(file, NULL);                                                             \
    if (number == 0)                                                                               \
        return call;                                                                               \
    take_turn();                                                                                   \
    int result = call;                                                                             \
    if (result == 0)                                                                               \
        say(NULL, 0, line, INO(number), ##__VA_ARGS__);                                            \
    end_turn();                                                                                    \
    return result;

int ftruncate(int file, off_t size) {
    CHANGED(file, REAL(ftruncate)(file, size), "truncate\t%lu\t%ld\n", (long)size)
}
int ftruncate64(int file, off64_t size) {
    CHANGED(file, REAL(ftruncate64)(file, size), "truncate\t%lu\t%ld\n", (long)size)
}
#define TRUNCATE(name, offset)                                                                     \
    int name(const char *path, offset size) {                                                      \
        int file = REAL(open64)(path, O_WRONLY);                                                   \
        if (file < 0)                                                                              \
            return -1;                                                                             \
        int result = ftruncate64(file, size);                                                      \
        close(file);                                                                               \
        return result;                                                                             \
    }
TRUNCATE(truncate, off_t)
TRUNCATE(truncate64, off64_t)

/* Making room may lengthen a file. */
#define ROOM(call)                                                                                 \
    off64_t before = 0, after = 0;                                                                 \
    if (opened(file, &before) == 0)                                                                \
        return call;                                                                               \
    take_turn();                                                                                   \
    int result = call;                                                                             \
    ino_t number = opened(file, &after);                                                           \
    if (result == 0 && after != before)                                                            \
        say(NULL, 0, "truncate\t%lu\t%ld\n", INO(number), (long)after);                            \
    end_turn();                                                                                    \
    return result;
int fallocate(int file, int mode, off_t at, off_t size) {
    ROOM(REAL(fallocate)(file, mode, at, size))
}
int fallocate64(int file, int mode, off64_t at, off64_t size) {
    ROOM(REAL(fallocate64)(file, mode, at, size))
}
int posix_fallocate(int file, off_t at, off_t size) {
    ROOM(REAL(posix_fallocate)(file, at, size))
}
int posix_fallocate64(int file, off64_t at, off64_t size) {
    ROOM(REAL(posix_fallocate64)(file, at, size))
}

/* Syncing. The name is said, too: safetensors' writer renames by a raw system call. */
static int synced(int file, int (*sync)(int)) {
    char link[64], path[PATH_MAX];
    struct place place;
    ino_t number = opened(file, NULL);
    if (number == 0)
        return sync(file);
    take_turn();
    int result = sync(file);
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    if (result == 0) {
        if (find(AT_FDCWD, path, &place) && place.file == number)
            say(NULL, 0, "sync\t%lu\t%lu\t%s\n", INO(number), INO(place.folder), place.name);
        else
            say(NULL, 0, "sync\t%lu\n", INO(number));
    }
    end_turn();
    return result;
}
int fsync(int file) { return synced(file, REAL(fsync)); }
int fdatasync(int file) { return synced(file, REAL(fdatasync)); }

/* Folders. */
#define NAMED(at, path, call, line, ...)                                                           \
    struct place place;                                                                            \
    if (record < 0)                                                                                \
        return call;                                                                               \
    take_turn();                                                                                   \
    int below = find(at, path, &place), result = call;                                             \
    if (result == 0 && below)                                                                      \
        say(NULL, 0, line, INO(place.folder), place.name, ##__VA_ARGS__);                          \
    end_turn();                                                                                    \
    return result;
#define MADE(at, path, call, kind, of)                                                             \
    struct place place;                                                                            \
    if (record < 0)                                                                                \
        return call;                                                                               \
    take_turn();                                                                                   \
    int result = call;                                                                             \
    if (result == 0 && find(at, path, &place))                                                     \
        say(NULL, 0, "create\t%lu\t%s\t%lu\t%s\t%s\n", INO(place.folder), place.name,              \
            INO(place.file), kind, of);                                                            \
    end_turn();                                                                                    \
    return result;

int mkdir(const char *path, mode_t mode) {
    MADE(AT_FDCWD, path, REAL(mkdir)(path, mode), "folder", "")
}
int mkdirat(int at, const char *path, mode_t mode) {
    MADE(at, path, REAL(mkdirat)(at, path, mode), "folder", "")
}
int symlink(const char *to, const char *path) {
    MADE(AT_FDCWD, path, REAL(symlink)(to, path), "link", to)
}
int symlinkat(const char *to, int at, const char *path) {
    MADE(at, path, REAL(symlinkat)(to, at, path), "link", to)
}
int link(const char *from, const char *path) {
    MADE(AT_FDCWD, path, REAL(link)(from, path), "again", "")
}
int linkat(int from_at, const char *from, int at, const char *path, int flags) {
    MADE(at, path, REAL(linkat)(from_at, from, at, path, flags), "again", "")
}
int unlink(const char *path) { NAMED(AT_FDCWD, path, REAL(unlink)(path), "remove\t%lu\t%s\n") }
int rmdir(const char *path) { NAMED(AT_FDCWD, path, REAL(rmdir)(path), "remove\t%lu\t%s\n") }
int unlinkat(int at, const char *path, int flags) {
    NAMED(at, path, REAL(unlinkat)(at, path, flags), "remove\t%lu\t%s\n")
}
int remove(const char *path) { NAMED(AT_FDCWD, path, REAL(remove)(path), "remove\t%lu\t%s\n") }

static int renamed(int at, const char *from, int to_at, const char *to, unsigned flags) {
    struct place old, new;
    if (record < 0)
        return REAL(renameat2)(at, from, to_at, to, flags);
    take_turn();
    int was = find(at, from, &old), is = find(to_at, to, &new);
    int result = REAL(renameat2)(at, from, to_at, to, flags);
    if (result == 0 && (was || is)) {
        if (!was || !is || flags == RENAME_EXCHANGE)
            abort(); /* a file that comes from outside brings what was never recorded */
        say(NULL, 0, "rename\t%lu\t%s\t%lu\t%s\t%lu\n", INO(old.folder), old.name,
            INO(new.folder), new.name, INO(old.file));
    }
    end_turn();
    return result;
}
int rename(const char *from, const char *to) { return renamed(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int at, const char *from, int to_at, const char *to) {
    return renamed(at, from, to_at, to, 0);
}
int renameat2(int at, const char *from, int to_at, const char *to, unsigned flags) {
    return renamed(at, from, to_at, to, flags);
}

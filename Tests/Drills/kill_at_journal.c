/* Loaded into masterswap (LD_PRELOAD) by the fault drill: ends it, as by kill -9, right before and right after each new kind of
   journal line is written. FAULT_SEEN names the file that lists the points already struck, one a line; with FAULT_ONLY only points that begin with its
   value count. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <unistd.h>

static const char *seen_path, *only;
static ssize_t (*real_write)(int, const void *, size_t);

__attribute__((constructor)) static void begin(void) {
    real_write = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    seen_path = getenv("FAULT_SEEN");
    only = getenv("FAULT_ONLY");
    /* Programs that it starts are not what is tried. */
    unsetenv("LD_PRELOAD");
}

static int is_journal(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    const char *name = "/journal.jsonl";
    return length > (ssize_t)strlen(name) && memcmp(path + length - strlen(name), name, strlen(name)) == 0;
}

/* Copies the string value of a key, as it stands in the JSON. */
static void value(const char *line, size_t length, const char *key, char *out, size_t room) {
    char pattern[32];
    size_t n = (size_t)snprintf(pattern, sizeof pattern, "\"%s\":\"", key), used = 0;
    const char *at = memmem(line, length, pattern, n);
    out[0] = 0;
    if (!at) return;
    for (at += n; at < line + length && *at != '"' && used + 1 < room; at++) out[used++] = *at;
    out[used] = 0;
}

static void strike(const char *point) {
    if (only && strncmp(point, only, strlen(only))) return;
    char line[896], buffer[65536];
    size_t length = (size_t)snprintf(line, sizeof line, "%s\n", point);
    int fd = open(seen_path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return;
    static char all[1 << 20];
    size_t total = 0;
    ssize_t got;
    while ((got = read(fd, buffer, sizeof buffer)) > 0 && total + (size_t)got < sizeof all) {
        memcpy(all + total, buffer, (size_t)got);
        total += (size_t)got;
    }
    int known = memmem(all, total, line, length) != NULL;
    if (!known) real_write(fd, line, length);
    close(fd);
    if (!known) kill(getpid(), SIGKILL);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    if (!seen_path || !is_journal(fd)) return real_write(fd, bytes, count);
    char event[64], step[128], text[640] = "", point[864];
    const char *line = bytes;
    value(line, count, "event", event, sizeof event);
    value(line, count, "step", step, sizeof step);
    /* What a wait, a note or a command says differs from try to try; what is to be destroyed, is destroyed, or is printed counts
       one by one. */
    if (!strncmp(event, "destroy", 7) || !strcmp(event, "output")) value(line, count, "text", text, sizeof text);
    snprintf(point, sizeof point, "before %s %s %s", event, step, text);
    strike(point);
    ssize_t result = real_write(fd, bytes, count);
    snprintf(point, sizeof point, "after %s %s %s", event, step, text);
    strike(point);
    return result;
}

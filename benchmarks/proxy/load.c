/* Sends one prepared HTTP/1.1 request again and again over so many connections, and says how it went, as JSON.
 *
 *   load PORT CONNECTIONS REQUESTS REQUEST_FILE [EXPECTED]
 *
 * One thread, epoll, loopback. A connection sends its next request when the last answer is complete, until REQUESTS were
 * sent by all of them together. EXPECTED is a text without which the last 4 KB of an answer's body make it incomplete.
 * Times are microseconds: of answers to the last byte, to the first byte of the body, and of the stamps `@seconds@` that
 * pieces of a stream carry.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_BYTES = 1 << 16, READ_BYTES = 1 << 18, TAIL_BYTES = 4096, STAMP_BYTES = 40, CARRY_BYTES = 64 };

typedef struct {
    int fd, state, closes, status;
    size_t sent;
    char head[HEAD_BYTES];
    size_t head_length;
    int chunked;
    int64_t left; /* of the body, or of a chunk; -1: to the end of the connection */
    char size_line[32];
    size_t size_length;
    char tail[TAIL_BYTES], carry[CARRY_BYTES];
    size_t tail_length, carry_length;
    int64_t begun_ns, first_ns;
} Line;

enum { HEAD, BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, DONE };

typedef struct {
    uint32_t *values;
    size_t count, capacity;
} Samples;

static Samples latency, first_byte, delay;
static long to_send, finished, complete, incomplete, lost, statuses[600];
static uint64_t body_bytes;
static char *request;
static size_t request_length;
static const char *expected = "";
static struct sockaddr_in address;
static int poller;

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void add(Samples *samples, int64_t nanoseconds) {
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity ? samples->capacity * 2 : 1024;
        samples->values = realloc(samples->values, samples->capacity * sizeof(uint32_t));
        if (!samples->values) abort();
    }
    samples->values[samples->count++] = nanoseconds < 0 ? 0 : (uint32_t)(nanoseconds / 1000);
}

static void watch(Line *line, uint32_t what, int how) {
    struct epoll_event event = {.events = what, .data.ptr = line};
    epoll_ctl(poller, how, line->fd, &event);
}

static void write_request(Line *line) {
    while (line->sent < request_length) {
        ssize_t wrote = send(line->fd, request + line->sent, request_length - line->sent, MSG_NOSIGNAL);
        if (wrote < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOTCONN) watch(line, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            return; /* an error shows when reading */
        }
        line->sent += (size_t)wrote;
    }
}

static int ask(Line *line) {
    if (!to_send) return 0;
    to_send--;
    line->state = HEAD;
    line->head_length = line->tail_length = line->carry_length = line->size_length = line->sent = 0;
    line->chunked = line->closes = 0;
    line->first_ns = 0;
    line->begun_ns = now_ns();
    write_request(line);
    return 1;
}

static void dial(Line *line) {
    int on = 1;
    line->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (line->fd < 0) {
        perror("load");
        exit(1);
    }
    setsockopt(line->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(line->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) {
        perror("load");
        exit(1);
    }
    watch(line, EPOLLIN, EPOLL_CTL_ADD);
}

static void stamps(Line *line, const char *data, size_t length, int64_t now) {
    char joined[CARRY_BYTES * 2];
    if (line->carry_length) { /* a stamp that was cut */
        size_t more = length < STAMP_BYTES ? length : STAMP_BYTES;
        memcpy(joined, line->carry, line->carry_length);
        memcpy(joined + line->carry_length, data, more);
        size_t whole = line->carry_length + more;
        char *close_mark = memchr(joined + 1, '@', whole - 1);
        if (close_mark) {
            *close_mark = 0;
            add(&delay, now - (int64_t)(strtod(joined + 1, NULL) * 1e9));
            size_t used = (size_t)(close_mark - joined) + 1 - line->carry_length;
            data += used;
            length -= used;
            line->carry_length = 0;
        } else if (whole < STAMP_BYTES) {
            memcpy(line->carry, joined, whole);
            line->carry_length = whole;
            return;
        } else {
            line->carry_length = 0;
        }
    }
    while (length) {
        const char *open_mark = memchr(data, '@', length);
        if (!open_mark) return;
        size_t rest = length - (size_t)(open_mark - data);
        const char *close_mark = memchr(open_mark + 1, '@', rest - 1);
        if (!close_mark) {
            if (rest < STAMP_BYTES) {
                memcpy(line->carry, open_mark, rest);
                line->carry_length = rest;
            }
            return;
        }
        size_t size = (size_t)(close_mark - open_mark) - 1;
        if (size < sizeof joined) {
            memcpy(joined, open_mark + 1, size);
            joined[size] = 0;
            add(&delay, now - (int64_t)(strtod(joined, NULL) * 1e9));
        }
        length = rest - size - 2;
        data = close_mark + 1;
    }
}

static void body(Line *line, const char *data, size_t length, int64_t now) {
    if (!length) return;
    if (!line->first_ns) {
        line->first_ns = now;
        add(&first_byte, now - line->begun_ns);
    }
    body_bytes += length;
    if (line->status == 200) stamps(line, data, length, now);
    if (length >= TAIL_BYTES) {
        memcpy(line->tail, data + length - TAIL_BYTES, TAIL_BYTES);
        line->tail_length = TAIL_BYTES;
        return;
    }
    if (line->tail_length + length > TAIL_BYTES) {
        size_t gone = line->tail_length + length - TAIL_BYTES;
        memmove(line->tail, line->tail + gone, line->tail_length - gone);
        line->tail_length -= gone;
    }
    memcpy(line->tail + line->tail_length, data, length);
    line->tail_length += length;
}

static void read_head(Line *line, const char *end) {
    line->status = atoi(line->head + 9);
    line->left = -1;
    for (char *at = line->head; at < end; at = (char *)memmem(at, (size_t)(end + 2 - at), "\r\n", 2) + 2) {
        if (!strncasecmp(at, "content-length:", 15)) line->left = strtoll(at + 15, NULL, 10);
        if (!strncasecmp(at, "transfer-encoding: chunked", 26)) line->chunked = 1;
        if (!strncasecmp(at, "connection: close", 17)) line->closes = 1;
    }
    line->state = line->chunked ? CHUNK_SIZE : line->left == 0 ? DONE : BODY;
}

/* Take in what was read; how much of it belongs to this answer. */
static size_t take(Line *line, const char *data, size_t length, int64_t now) {
    size_t at = 0;
    while (at < length && line->state != DONE) {
        size_t rest = length - at, piece;
        const char *mark;
        switch (line->state) {
        case HEAD: {
            piece = rest < HEAD_BYTES - line->head_length ? rest : HEAD_BYTES - line->head_length;
            if (!piece) exit(2);
            size_t before = line->head_length;
            memcpy(line->head + before, data + at, piece);
            line->head_length += piece;
            char *end = memmem(line->head, line->head_length, "\r\n\r\n", 4);
            if (!end) {
                at += piece;
                break;
            }
            at += (size_t)(end - line->head) + 4 - before;
            read_head(line, end);
            break;
        }
        case BODY:
            piece = line->left >= 0 && (size_t)line->left < rest ? (size_t)line->left : rest;
            body(line, data + at, piece, now);
            at += piece;
            if (line->left >= 0 && !(line->left -= (int64_t)piece)) line->state = DONE;
            break;
        case CHUNK_SIZE:
            mark = memchr(data + at, '\n', rest);
            piece = mark ? (size_t)(mark - (data + at)) + 1 : rest;
            for (size_t each = 0; each < piece && line->size_length < sizeof line->size_line - 1; each++)
                line->size_line[line->size_length++] = data[at + each];
            at += piece;
            if (!mark) break;
            line->size_line[line->size_length] = 0;
            line->left = strtoll(line->size_line, NULL, 16);
            line->size_length = 0;
            line->state = line->left ? CHUNK_DATA : TRAILER;
            break;
        case CHUNK_DATA:
            piece = (size_t)line->left < rest ? (size_t)line->left : rest;
            body(line, data + at, piece, now);
            at += piece;
            if (!(line->left -= (int64_t)piece)) line->state = CHUNK_END;
            break;
        case CHUNK_END:
            if (data[at++] == '\n') line->state = CHUNK_SIZE;
            break;
        case TRAILER:
            mark = memchr(data + at, '\n', rest);
            piece = mark ? (size_t)(mark - (data + at)) + 1 : rest;
            line->size_length += piece;
            at += piece;
            if (mark) {
                if (line->size_length <= 2) line->state = DONE;
                line->size_length = 0;
            }
            break;
        default: break;
        }
    }
    return at;
}

static void over(Line *line, int whole, int64_t now) {
    finished++;
    if (line->status >= 0 && line->status < 600) statuses[line->status]++;
    if (whole && (!*expected || memmem(line->tail, line->tail_length, expected, strlen(expected)))) {
        complete++;
        add(&latency, now - line->begun_ns);
    } else {
        incomplete++;
    }
}

static void again(Line *line) {
    close(line->fd);
    if (!to_send) {
        line->fd = -1;
        return;
    }
    dial(line);
    ask(line);
}

static void readable(Line *line) {
    static char data[READ_BYTES];
    for (;;) {
        ssize_t got = recv(line->fd, data, READ_BYTES, 0);
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        int64_t now = now_ns();
        if (got <= 0) {
            if (line->state == DONE) {
                close(line->fd);
                line->fd = -1;
                return;
            }
            if (line->state == HEAD) line->status = 0, lost++;
            over(line, got == 0 && line->state == BODY && line->left < 0, now);
            again(line);
            return;
        }
        if (line->state == DONE) continue; /* nothing more was asked */
        take(line, data, (size_t)got, now);
        if (line->state == DONE) {
            over(line, 1, now);
            if (line->closes) {
                again(line);
                return;
            }
            if (!ask(line)) return;
        }
        if (got < READ_BYTES) return;
    }
}

static int by_value(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return a < b ? -1 : a > b;
}

static void tell(const char *name, Samples *samples) {
    qsort(samples->values, samples->count, sizeof(uint32_t), by_value);
    size_t last = samples->count ? samples->count - 1 : 0;
#define AT(share) (samples->count ? samples->values[(size_t)((double)last * share)] : 0)
    printf("\"%s\":{\"count\":%zu,\"p50\":%u,\"p99\":%u,\"p999\":%u,\"max\":%u},", name, samples->count, AT(0.5),
           AT(0.99), AT(0.999), AT(1.0));
}

int main(int count, char **arguments) {
    if (count < 5) {
        fprintf(stderr, "load PORT CONNECTIONS REQUESTS REQUEST_FILE [EXPECTED]\n");
        return 1;
    }
    struct rlimit files = {65536, 65536};
    setrlimit(RLIMIT_NOFILE, &files);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)atoi(arguments[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    long connections = atol(arguments[2]), requests = atol(arguments[3]);
    to_send = requests;
    FILE *file = fopen(arguments[4], "rb");
    if (!file) {
        perror(arguments[4]);
        return 1;
    }
    fseek(file, 0, SEEK_END);
    request_length = (size_t)ftell(file);
    rewind(file);
    request = malloc(request_length + 1);
    if (fread(request, 1, request_length, file) != request_length) return 1;
    fclose(file);
    if (count > 5) expected = arguments[5];
    poller = epoll_create1(0);
    Line *lines = calloc((size_t)connections, sizeof(Line));
    int64_t begun = now_ns();
    for (long each = 0; each < connections; each++) {
        lines[each].fd = -1;
        if (!to_send) continue;
        dial(&lines[each]);
        ask(&lines[each]);
    }
    struct epoll_event events[512];
    while (finished < requests) {
        int ready = epoll_wait(poller, events, 512, 120000);
        if (ready == 0) {
            fprintf(stderr, "load: nothing came for two minutes\n");
            return 3;
        }
        for (int each = 0; each < ready; each++) {
            Line *line = events[each].data.ptr;
            if (line->fd < 0) continue;
            if (events[each].events & EPOLLOUT) {
                watch(line, EPOLLIN, EPOLL_CTL_MOD);
                write_request(line);
            }
            if (events[each].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(line);
        }
    }
    double wall = (double)(now_ns() - begun) / 1e9;
    printf("{\"requests\":%ld,\"complete\":%ld,\"incomplete\":%ld,\"lost\":%ld,\"wall_s\":%.6f,\"body_bytes\":%llu,",
           requests, complete, incomplete, lost, wall, (unsigned long long)body_bytes);
    tell("latency_us", &latency);
    tell("first_us", &first_byte);
    tell("delay_us", &delay);
    printf("\"statuses\":{");
    for (int status = 0, some = 0; status < 600; status++)
        if (statuses[status]) printf("%s\"%d\":%ld", some++ ? "," : "", status, statuses[status]);
    printf("}}\n");
    return 0;
}

/* A provider of chat, messages and embeddings that costs next to nothing: prepared bytes, one thread, epoll.
 *
 * Prints its port, then serves loopback until it is killed. What it answers is said by the model's name in the body:
 *
 *   json-<bytes>                 one answer with that much text
 *   embed-<vectors>x<numbers>    vectors
 *   stream-<events>-<ms>         a stream of that many pieces, so many milliseconds apart; 0: as fast as they are taken
 *
 * `/v1/messages` is answered as Anthropic writes it, `/v1/embeddings` with vectors, everything else as Chat Completions.
 * Each piece of a stream is a chunk and a write of its own and carries the time, `@seconds@` of the monotonic clock.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
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

enum { MAX_FD = 65536, READ_BYTES = 1 << 18 };

typedef struct {
    char *data;
    size_t length, capacity;
} Bytes;

typedef struct Stream {
    int fd, active, messages, asked_usage;
    Bytes in, out;
    size_t sent;
    long left;
    int64_t every_ns, due_ns;
    int place; /* in the list of those that wait for their time, or -1 */
} Stream;

static Stream *streams[MAX_FD];
static Stream *waiting[MAX_FD];
static int waiting_count, poller;

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void grow(Bytes *bytes, size_t more) {
    if (bytes->length + more <= bytes->capacity) return;
    while (bytes->length + more > bytes->capacity) bytes->capacity = bytes->capacity ? bytes->capacity * 2 : 4096;
    bytes->data = realloc(bytes->data, bytes->capacity);
    if (!bytes->data) abort();
}

static void append(Bytes *bytes, const char *data, size_t length) {
    grow(bytes, length);
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

static void text(Bytes *bytes, const char *data) { append(bytes, data, strlen(data)); }

static void fill(Bytes *bytes, size_t length) {
    static const char words[] = "The quick brown fox jumps over the lazy dog and says so in plain words. ";
    while (length) {
        size_t piece = length < sizeof words - 1 ? length : sizeof words - 1;
        append(bytes, words, piece);
        length -= piece;
    }
}

static void leave(Stream *stream) {
    if (stream->place < 0) return;
    waiting[stream->place] = waiting[--waiting_count];
    waiting[stream->place]->place = stream->place;
    stream->place = -1;
}

static void end(Stream *stream) {
    leave(stream);
    close(stream->fd);
    streams[stream->fd] = NULL;
    free(stream->in.data);
    free(stream->out.data);
    free(stream);
}

/* Write what is due; 0 when the connection is gone. */
static int flush(Stream *stream) {
    while (stream->sent < stream->out.length) {
        ssize_t wrote =
            send(stream->fd, stream->out.data + stream->sent, stream->out.length - stream->sent, MSG_NOSIGNAL);
        if (wrote < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK) {
                struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.fd = stream->fd};
                epoll_ctl(poller, EPOLL_CTL_MOD, stream->fd, &event);
                return 1;
            }
            return 0;
        }
        stream->sent += (size_t)wrote;
    }
    stream->out.length = stream->sent = 0;
    return 1;
}

static void chunk(Stream *stream, const char *data, size_t length) {
    char size[24];
    append(&stream->out, size, (size_t)sprintf(size, "%zx\r\n", length));
    append(&stream->out, data, length);
    append(&stream->out, "\r\n", 2);
}

static void chat_chunk(Stream *stream, const char *delta, const char *finish) {
    char event[512];
    int length = sprintf(event,
                         "data: {\"id\":\"chatcmpl-Bx7Qm2kLw9\",\"object\":\"chat.completion.chunk\",\"created\":1795000000,"
                         "\"model\":\"fake-1\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_44709d6fcb\","
                         "\"choices\":[{\"index\":0,\"delta\":{%s},\"logprobs\":null,\"finish_reason\":%s}]}\n\n",
                         delta, finish);
    chunk(stream, event, (size_t)length);
}

static void messages_event(Stream *stream, const char *name, const char *fields) {
    char event[768];
    int length = sprintf(event, "event: %s\ndata: {\"type\":\"%s\"%s}\n\n", name, name, fields);
    chunk(stream, event, (size_t)length);
}

static void piece(Stream *stream) {
    char said[256];
    double now = (double)now_ns() / 1e9;
    if (stream->messages) {
        sprintf(said, ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" some words @%.6f@\"}", now);
        messages_event(stream, "content_block_delta", said);
    } else {
        sprintf(said, "\"content\":\" some words @%.6f@\"", now);
        chat_chunk(stream, said, "null");
    }
}

static void opening(Stream *stream) {
    text(&stream->out,
         "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
         "x-ratelimit-remaining-requests: 9999\r\ntransfer-encoding: chunked\r\n\r\n");
    if (stream->messages) {
        messages_event(stream, "message_start",
                       ",\"message\":{\"id\":\"msg_01Xy\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"fake-1\","
                       "\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":25,"
                       "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":1}}");
        messages_event(stream, "content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}");
    } else {
        chat_chunk(stream, "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null", "null");
    }
}

static void closing(Stream *stream) {
    if (stream->messages) {
        messages_event(stream, "content_block_stop", ",\"index\":0");
        messages_event(stream, "message_delta",
                       ",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":100}");
        messages_event(stream, "message_stop", "");
    } else {
        chat_chunk(stream, "", "\"stop\"");
        if (stream->asked_usage) {
            static const char usage[] =
                "data: {\"id\":\"chatcmpl-Bx7Qm2kLw9\",\"object\":\"chat.completion.chunk\",\"created\":1795000000,"
                "\"model\":\"fake-1\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_44709d6fcb\",\"choices\":[],"
                "\"usage\":{\"prompt_tokens\":25,\"completion_tokens\":100,\"total_tokens\":125}}\n\n";
            chunk(stream, usage, sizeof usage - 1);
        }
        chunk(stream, "data: [DONE]\n\n", 14);
    }
    append(&stream->out, "0\r\n\r\n", 5);
}

static void whole(Stream *stream, Bytes *body) {
    char head[256];
    append(&stream->out, head,
           (size_t)sprintf(head,
                           "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-ratelimit-remaining-requests: 9999\r\n"
                           "content-length: %zu\r\n\r\n",
                           body->length));
    append(&stream->out, body->data, body->length);
    body->length = 0;
}

static void json(Stream *stream, size_t length) {
    static Bytes body;
    if (stream->messages) {
        text(&body, "{\"id\":\"msg_01Xy\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"fake-1\",\"content\":[{\"type\":"
                    "\"text\",\"text\":\"");
        fill(&body, length);
        text(&body, "\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":25,"
                    "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":100}}");
    } else {
        text(&body, "{\"id\":\"chatcmpl-Bx7Qm2kLw9\",\"object\":\"chat.completion\",\"created\":1795000000,\"model\":\"fake-1\","
                    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"");
        fill(&body, length);
        text(&body, "\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{"
                    "\"prompt_tokens\":25,\"completion_tokens\":100,\"total_tokens\":125,\"prompt_tokens_details\":{"
                    "\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0,"
                    "\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}},"
                    "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_44709d6fcb\"}");
    }
    whole(stream, &body);
}

static void vectors(Stream *stream, long count, long numbers) {
    static Bytes body;
    char entry[128];
    text(&body, "{\"object\":\"list\",\"data\":[");
    for (long vector = 0; vector < count; vector++) {
        append(&body, entry,
               (size_t)sprintf(entry, "%s{\"object\":\"embedding\",\"index\":%ld,\"embedding\":[", vector ? "," : "", vector));
        for (long number = 0; number < numbers; number++)
            append(&body, entry, (size_t)sprintf(entry, "%s0.%07ld", number ? ",-" : "", (number * 7919 + 13) % 10000000));
        text(&body, "]}");
    }
    text(&body, "],\"model\":\"fake-1\",\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8}}");
    whole(stream, &body);
}

/* The next pieces of a stream that may be sent now; 0 when the connection is gone. */
static int pour(Stream *stream) {
    while (stream->active && stream->out.length == stream->sent) {
        if (!stream->left) {
            closing(stream);
            stream->active = 0;
            leave(stream);
            return flush(stream);
        }
        piece(stream);
        stream->left--;
        if (!flush(stream)) return 0;
        if (stream->every_ns) {
            stream->due_ns += stream->every_ns;
            return 1;
        }
    }
    return 1;
}

static int answer(Stream *stream, const char *head, const char *body, size_t length) {
    stream->messages = memmem(head, 64, " /v1/messages", 13) != NULL;
    const char *model = memmem(body, length, "\"model\"", 7);
    long first = 0, second = 0;
    if (model) model += 7;
    while (model && (*model == ':' || *model == ' ' || *model == '"')) model++;
    if (model && sscanf(model, "stream-%ld-%ld", &first, &second) == 2) {
        stream->asked_usage = memmem(body, length, "include_usage", 13) != NULL;
        stream->active = 1;
        stream->left = first;
        stream->every_ns = second * 1000000;
        opening(stream);
        if (!flush(stream)) return 0;
        if (!second) return pour(stream);
        stream->due_ns = now_ns() + stream->every_ns;
        stream->place = waiting_count;
        waiting[waiting_count++] = stream;
        return 1;
    }
    if (model && sscanf(model, "embed-%ldx%ld", &first, &second) == 2) {
        vectors(stream, first, second);
    } else {
        if (!model || sscanf(model, "json-%ld", &first) != 1) first = 600;
        json(stream, (size_t)first);
    }
    return flush(stream);
}

/* Answer every request that is whole; 0 when the connection is gone. */
static int requests(Stream *stream) {
    for (;;) {
        Bytes *in = &stream->in;
        if (!in->length) return 1;
        char *mark = memmem(in->data, in->length, "\r\n\r\n", 4);
        if (!mark) return 1;
        size_t head = (size_t)(mark - in->data) + 4, length = 0, taken = 0;
        int chunked = 0;
        for (char *line = in->data; line < mark; line = (char *)memmem(line, (size_t)(mark + 2 - line), "\r\n", 2) + 2) {
            if (!strncasecmp(line, "content-length:", 15)) length = strtoul(line + 15, NULL, 10);
            if (!strncasecmp(line, "transfer-encoding:", 18)) chunked = 1;
        }
        if (chunked) { /* joined in place */
            size_t from = head;
            for (;;) {
                char *end_of_size = memmem(in->data + from, in->length - from, "\r\n", 2);
                if (!end_of_size) return 1;
                size_t size = strtoul(in->data + from, NULL, 16);
                size_t start = (size_t)(end_of_size - in->data) + 2;
                if (start + size + 2 > in->length) return 1;
                from = start + size + 2;
                if (!size) break;
            }
            taken = from;
            from = head;
            for (;;) {
                char *end_of_size = memmem(in->data + from, in->length - from, "\r\n", 2);
                size_t size = strtoul(in->data + from, NULL, 16);
                size_t start = (size_t)(end_of_size - in->data) + 2;
                if (!size) break;
                memmove(in->data + head + length, in->data + start, size);
                length += size;
                from = start + size + 2;
            }
        } else {
            if (in->length < head + length) return 1;
            taken = head + length;
        }
        if (!answer(stream, in->data, in->data + head, length)) return 0;
        memmove(in->data, in->data + taken, in->length - taken);
        in->length -= taken;
    }
}

static int readable(Stream *stream) {
    for (;;) {
        grow(&stream->in, READ_BYTES);
        ssize_t got = recv(stream->fd, stream->in.data + stream->in.length, READ_BYTES, 0);
        if (got == 0) return 0;
        if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? requests(stream) : 0;
        stream->in.length += (size_t)got;
        if (got < READ_BYTES) return requests(stream);
    }
}

static void arrivals(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), on = 1;
        if (fd < 0) return;
        if (fd >= MAX_FD) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        streams[fd] = calloc(1, sizeof(Stream));
        streams[fd]->fd = fd;
        streams[fd]->place = -1;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(void) {
    struct rlimit files = {MAX_FD, MAX_FD};
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096)) {
        perror("provider");
        return 1;
    }
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    poller = epoll_create1(0);
    struct epoll_event events[512], event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(poller, events, 512, waiting_count ? 1 : -1);
        for (int each = 0; each < count; each++) {
            int fd = events[each].data.fd;
            if (fd == listener) {
                arrivals(listener);
                continue;
            }
            Stream *stream = streams[fd];
            if (!stream) continue;
            int alive = 1;
            if (events[each].events & EPOLLOUT) {
                struct epoll_event reading = {.events = EPOLLIN, .data.fd = fd};
                epoll_ctl(poller, EPOLL_CTL_MOD, fd, &reading);
                alive = flush(stream) && (stream->every_ns || pour(stream));
            }
            if (alive && events[each].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) alive = readable(stream);
            if (!alive) end(stream);
        }
        if (!waiting_count) continue;
        int64_t now = now_ns();
        for (int place = waiting_count - 1; place >= 0; place--) {
            Stream *stream = waiting[place];
            if (stream->due_ns <= now && !pour(stream)) end(stream);
        }
    }
}

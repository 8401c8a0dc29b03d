#include "launcher/host-list.h"

#include <string.h>

#include "launcher/message.h"

/* True if @name is a list as pdsh(1), Slurm and clush(1) write it: "node[01-08]". */
bool host_list_is(const char *name) {
    const char *open = strchr(name, '[');

    return open != NULL && strchr(open, ']') != NULL;
}

static void text_add(struct host_list_line *line, const char *bytes, size_t n) {
    if (line->length + n >= sizeof(line->text)) {
        line->is_cut = true;
        return;
    }
    memcpy(line->text + line->length, bytes, n);
    line->length += n;
    line->text[line->length] = '\0';
}

/* True unless a shell reads the @n bytes as they are. */
static bool needs_quotes(const char *word, size_t n) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "%+,-./:=@_";

    return strspn(word, plain) < n;
}

/* Adds the bytes as a shell reads them in single quotes, and as pdsh reads '%'. */
static void bytes_add(struct host_list_line *line, const char *bytes, size_t n, bool is_quoted,
                      bool is_for_pdsh) {
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] == '\'' && is_quoted)
            text_add(line, "'\\''", 4);
        else if (bytes[i] == '%' && is_for_pdsh)
            text_add(line, "%%", 2);
        else
            text_add(line, bytes + i, 1);
    }
}

/* Begins the command line that runs one command for each of @hosts. */
void host_list_begin(struct host_list_line *line, const char *hosts) {
    static const char pdsh[] = "pdsh -R exec -w '";

    *line = (struct host_list_line){.length = 0};
    text_add(line, pdsh, strlen(pdsh));
    bytes_add(line, hosts, strlen(hosts), true, false);
    text_add(line, "'", 1);
}

/*
 * Adds a word of the command that pdsh is to execute: the first @n bytes of @word, and then @host,
 * which is "" or "%h", the host's name for pdsh.
 */
void host_list_add(struct host_list_line *line, const char *word, size_t n, const char *host) {
    const bool is_quoted = needs_quotes(word, n) || (n == 0 && host[0] == '\0');

    text_add(line, " ", 1);
    text_add(line, "'", is_quoted);
    bytes_add(line, word, n, is_quoted, true);
    text_add(line, host, strlen(host));
    text_add(line, "'", is_quoted);
}

/* Says that @hosts are more than one, and what to run instead. */
void host_list_print(const struct host_list_line *line, const char *hosts) {
    message("'%s' is a list of hosts, and one is needed; to run the command on each, use: %s%s",
            hosts, line->text, line->is_cut ? " ..." : "");
}

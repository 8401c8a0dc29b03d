#include "policy/lexer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*
 * Reports what is wrong at @line and @column, unless an error of this logical line was reported
 * already: the rest of a wrong line would only be misunderstood.
 */
void lexer_fail(struct lexer *lexer, unsigned line, unsigned column, const char *format, ...) {
    struct policy_error error = {.file = lexer->file, .line = line, .column = column};
    va_list arguments;

    if (!lexer->line_has_failed) {
        va_start(arguments, format);
        (void)vsnprintf(error.message, sizeof(error.message), format, arguments);
        va_end(arguments);
        lexer->report(lexer->context, &error);
    }
    lexer->line_has_failed = true;
    lexer->has_failed = true;
}

static unsigned lexer_column(const struct lexer *lexer) {
    return (unsigned)(lexer->at - lexer->line_start) + 1;
}

static bool lexer_is_at(const struct lexer *lexer, char c) {
    return lexer->at < lexer->end && *lexer->at == c;
}

static bool lexer_is_at_word_end(const struct lexer *lexer) {
    return lexer->at == lexer->end || *lexer->at == ' ' || *lexer->at == '\t' || *lexer->at == '\n';
}

/* Steps over a line's end; the caller has seen that the lexer is at one. */
void lexer_next_line(struct lexer *lexer) {
    lexer->at++;
    lexer->line++;
    lexer->line_start = lexer->at;
}

static void lexer_skip_blanks(struct lexer *lexer) {
    for (;;) {
        if (lexer_is_at(lexer, ' ') || lexer_is_at(lexer, '\t')) {
            lexer->at++;
        } else if (lexer->end - lexer->at >= 2 && lexer->at[0] == '\\' && lexer->at[1] == '\n') {
            lexer->at++;
            lexer_next_line(lexer);
        } else {
            break;
        }
    }
    if (!lexer_is_at(lexer, '#'))
        return;
    lexer->comment = lexer->at;
    while (lexer->at < lexer->end && *lexer->at != '\n')
        lexer->at++;
}

static bool lexer_begins_with(const struct lexer *lexer, const char *bytes) {
    size_t length = strlen(bytes);

    return (size_t)(lexer->end - lexer->at) >= length && memcmp(lexer->at, bytes, length) == 0;
}

/* Behind a backslash: what somebody meant who wrote it there. */
static const char *backslash_explain(const struct lexer *lexer) {
    const char *at = lexer->at;

    if (lexer_is_at(lexer, '\n'))
        return "a backslash that ends a line stands outside quotes, behind a blank";
    while (at < lexer->end && (*at == ' ' || *at == '\t' || *at == '\r'))
        at++;
    if (at > lexer->at && (at == lexer->end || *at == '\n' || *at == '#'))
        return "a backslash goes on with the next line only as the very last byte of its own";
    if (at > lexer->at)
        return "a backslash does not keep a blank: quote the whole word";
    return "a backslash can only end a line, or stand before \" or \\ in quotes; there are no "
           "regular expressions, a digit is [0-9]";
}

/* A byte that is no printable ASCII; the lexer is behind it. */
static const char *byte_explain(const struct lexer *lexer) {
    struct lexer back = *lexer;

    back.at--;
    if (lexer_begins_with(&back, "\r"))
        return "a carriage return: save the file with Unix line ends (sed -i 's/\\r$//')";
    if (lexer_begins_with(&back, "\xef\xbb\xbf"))
        return "a byte order mark: save the file without";
    if (lexer_begins_with(&back, "\xe2\x80"))
        return "a typographic quote or dash: write \" or -";
    return NULL;
}

/* Reports the byte at which no word can go on, and steps over it, so that parsing always ends. */
static enum word_kind lexer_reject_byte(struct lexer *lexer) {
    unsigned column = lexer_column(lexer);
    unsigned char c = (unsigned char)*lexer->at++;

    if (c == '"')
        lexer_fail(lexer, lexer->line, column, "a quote inside a word: quote the whole word");
    else if (c == '#')
        lexer_fail(lexer, lexer->line, column,
                   "# inside a word: quote the word, or put a blank before a comment");
    else if (c == '\\')
        lexer_fail(lexer, lexer->line, column, "%s", backslash_explain(lexer));
    else if (byte_explain(lexer) != NULL)
        lexer_fail(lexer, lexer->line, column, "%s", byte_explain(lexer));
    else
        lexer_fail(lexer, lexer->line, column, "byte 0x%02x is not printable ASCII", c);
    /* The next line was meant to be part of this one: it is not told a second time. */
    if (c == '\\') {
        size_t blanks = 0;

        while (lexer->at + blanks < lexer->end && strchr(" \t\r", lexer->at[blanks]) != NULL &&
               lexer->at[blanks] != '\0')
            blanks++;
        if (lexer->at + blanks < lexer->end && lexer->at[blanks] == '\n') {
            lexer->at += blanks;
            lexer_next_line(lexer);
        }
    }
    return WORD_BAD;
}

static bool char_can_stand_bare(char c) {
    return c > ' ' && c <= '~' && c != '"' && c != '#' && c != '\\';
}

/* True if @word needs no quotes; it may be a keyword then. */
bool lexer_can_stand_bare(const char *word) {
    size_t length = 0;

    while (char_can_stand_bare(word[length]))
        length++;
    return length > 0 && word[length] == '\0';
}

static enum word_kind lexer_bare_word(struct lexer *lexer) {
    while (lexer->at < lexer->end && char_can_stand_bare(*lexer->at))
        *lexer->words++ = *lexer->at++;
    return lexer_is_at_word_end(lexer) ? WORD_TEXT : lexer_reject_byte(lexer);
}

static enum word_kind lexer_quoted_word(struct lexer *lexer, const struct word *word) {
    lexer->at++;
    while (lexer->at < lexer->end && *lexer->at != '"' && *lexer->at != '\n') {
        if (*lexer->at == '\\') {
            if (lexer->end - lexer->at < 2 || (lexer->at[1] != '"' && lexer->at[1] != '\\'))
                return lexer_reject_byte(lexer);
            lexer->at++;
        } else if (*lexer->at < ' ' || *lexer->at > '~') {
            return lexer_reject_byte(lexer);
        }
        *lexer->words++ = *lexer->at++;
    }
    if (!lexer_is_at(lexer, '"')) {
        lexer_fail(lexer, word->line, word->column, "a quote that is not closed in this line");
        return WORD_BAD;
    }
    lexer->at++;
    if (lexer_is_at(lexer, '\r'))
        return lexer_reject_byte(lexer);
    if (!lexer_is_at_word_end(lexer)) {
        lexer_fail(lexer, lexer->line, lexer_column(lexer),
                   "a closing quote ends the word: put a blank behind it");
        return WORD_BAD;
    }
    return WORD_TEXT;
}

/*
 * Takes the next word of the logical line: WORD_LINE_END, also at the text's end, if there is none;
 * WORD_BAD for one that was reported, and the lexer has moved on. The text lives as long as
 * @lexer->words, which must have room for the whole text and one byte more.
 */
struct word lexer_next_word(struct lexer *lexer) {
    struct word word = {.kind = WORD_LINE_END, .text = ""};

    lexer_skip_blanks(lexer);
    word.line = lexer->line;
    word.column = lexer_column(lexer);
    if (lexer->at == lexer->end || *lexer->at == '\n')
        return word;
    word.text = lexer->words;
    word.is_quoted = *lexer->at == '"';
    word.kind = word.is_quoted ? lexer_quoted_word(lexer, &word) : lexer_bare_word(lexer);
    *lexer->words++ = '\0';
    return word;
}

#include "policy/lexer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*
 * Reports an error at @line and @column, unless this logical line has an error already: after the
 * first one, the rest of the line would only be misread.
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

static unsigned lexer_get_column(const struct lexer *lexer) {
    return (unsigned)(lexer->at - lexer->line_start) + 1;
}

static bool lexer_is_at(const struct lexer *lexer, char c) {
    return lexer->at < lexer->end && *lexer->at == c;
}

static bool lexer_is_at_word_end(const struct lexer *lexer) {
    return lexer->at == lexer->end || *lexer->at == ' ' || *lexer->at == '\t' || *lexer->at == '\n';
}

/* Moves to the next line. The caller makes sure that the lexer is at the end of a line. */
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

static bool lexer_has_bytes(const struct lexer *lexer, const char *bytes) {
    size_t length = strlen(bytes);

    return (size_t)(lexer->end - lexer->at) >= length && memcmp(lexer->at, bytes, length) == 0;
}

/* Describes the error of a backslash; the lexer is at the byte after it. */
static const char *lexer_explain_backslash(const struct lexer *lexer) {
    const char *at = lexer->at;

    if (lexer_is_at(lexer, '\n'))
        return "a backslash that continues a line must stand outside quotes, after a space";
    while (at < lexer->end && (*at == ' ' || *at == '\t' || *at == '\r'))
        at++;
    if (at > lexer->at && (at == lexer->end || *at == '\n' || *at == '#'))
        return "a backslash continues a line only as its last byte: remove what follows it";
    if (at > lexer->at)
        return "a backslash does not escape a space: quote the whole word";
    return "a backslash is valid only at the end of a line, or before \" or \\ inside quotes; "
           "patterns are not regular expressions: a digit is [0-9]";
}

/* Describes the byte before the lexer, which is not printable ASCII; NULL: nothing special. */
static const char *lexer_explain_byte(const struct lexer *lexer) {
    struct lexer back = *lexer;

    back.at--;
    if (lexer_has_bytes(&back, "\r"))
        return "a carriage return: save the file with Unix line endings (sed -i 's/\\r$//')";
    if (lexer_has_bytes(&back, "\xef\xbb\xbf"))
        return "a byte order mark: save the file without it";
    if (lexer_has_bytes(&back, "\xe2\x80"))
        return "a typographic quote or dash: write \" or -";
    return NULL;
}

/* Reports a byte that no word can contain here, and skips it, so that parsing always ends. */
static enum word_kind lexer_reject_byte(struct lexer *lexer) {
    unsigned column = lexer_get_column(lexer);
    unsigned char c = (unsigned char)*lexer->at++;

    if (c == '"')
        lexer_fail(lexer, lexer->line, column, "a quote inside a word: quote the whole word");
    else if (c == '#')
        lexer_fail(lexer, lexer->line, column,
                   "# inside a word: quote the word, or put a space before a comment");
    else if (c == '\\')
        lexer_fail(lexer, lexer->line, column, "%s", lexer_explain_backslash(lexer));
    else if (lexer_explain_byte(lexer) != NULL)
        lexer_fail(lexer, lexer->line, column, "%s", lexer_explain_byte(lexer));
    else
        lexer_fail(lexer, lexer->line, column, "byte 0x%02x is not printable ASCII", c);
    /* The next line was meant to continue this one: it must not cause a second error. */
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

/* True if @word can be written without quotes. It may be a keyword then. */
bool lexer_can_stand_bare(const char *word) {
    size_t length = 0;

    while (char_can_stand_bare(word[length]))
        length++;
    return length > 0 && word[length] == '\0';
}

static enum word_kind lexer_read_bare_word(struct lexer *lexer) {
    while (lexer->at < lexer->end && char_can_stand_bare(*lexer->at))
        *lexer->words++ = *lexer->at++;
    return lexer_is_at_word_end(lexer) ? WORD_TEXT : lexer_reject_byte(lexer);
}

static enum word_kind lexer_read_quoted_word(struct lexer *lexer, const struct word *word) {
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
        lexer_fail(lexer, word->line, word->column, "this quote is not closed on this line");
        return WORD_BAD;
    }
    lexer->at++;
    if (lexer_is_at(lexer, '\r'))
        return lexer_reject_byte(lexer);
    if (!lexer_is_at_word_end(lexer)) {
        lexer_fail(lexer, lexer->line, lexer_get_column(lexer),
                   "a closing quote ends the word: put a space after it");
        return WORD_BAD;
    }
    return WORD_TEXT;
}

/*
 * Returns the next word of the logical line: WORD_LINE_END if there is none, also at the end of the
 * text; WORD_BAD after an error was reported, with the lexer after the bad byte. The word's text
 * lives as long as @lexer->words, which needs room for the whole text and one more byte.
 */
struct word lexer_next_word(struct lexer *lexer) {
    struct word word = {.kind = WORD_LINE_END, .text = ""};

    lexer_skip_blanks(lexer);
    word.line = lexer->line;
    word.column = lexer_get_column(lexer);
    if (lexer->at == lexer->end || *lexer->at == '\n')
        return word;
    word.text = lexer->words;
    word.is_quoted = *lexer->at == '"';
    word.kind = word.is_quoted ? lexer_read_quoted_word(lexer, &word) : lexer_read_bare_word(lexer);
    *lexer->words++ = '\0';
    return word;
}

#include "policy/lexer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy/byte-hints.h"
#include "policy/name-pattern.h"

/* Reports nothing if this logical line has an error already: the rest of it was only misread. */
static void lexer_report(struct lexer *lexer, struct policy_error *error) {
    error->file = lexer->file;
    if (!lexer->line_has_failed)
        lexer->report(lexer->context, error);
    lexer->line_has_failed = true;
    lexer->has_failed = true;
}

/* Reports an error at @line and @column, if it is the first one of this logical line. */
void lexer_fail(struct lexer *lexer, unsigned line, unsigned column, const char *format, ...) {
    struct policy_error error = {.line = line, .column = column};
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(error.message, sizeof(error.message), format, arguments);
    va_end(arguments);
    lexer_report(lexer, &error);
}

/*
 * Reports at byte @offset of @word why @hint rejects it, unless that is SYNTAX_HINT_NONE. The word
 * and the @keyword before it are for lint/advice.c, which adds what to write instead.
 */
void lexer_fail_with_hint(struct lexer *lexer, const struct word *keyword, const struct word *word,
                          enum syntax_hint hint, size_t offset) {
    struct policy_error error = {.line = word->line,
                                 .column = word->column + (unsigned)offset,
                                 .hint = word->is_quoted ? SYNTAX_HINT_NONE : (int)hint,
                                 .word = word->text,
                                 .keyword = keyword->text};

    if (hint == SYNTAX_HINT_NONE)
        return;
    if (hint >= SYNTAX_HINT_ACTION)
        (void)snprintf(error.message, sizeof(error.message), "%s '%.40s'",
                       syntax_hint_get_text(hint), word->text);
    else
        (void)snprintf(error.message, sizeof(error.message), "%s%s", syntax_hint_get_text(hint),
                       syntax_hint_get_exception(hint));
    lexer_report(lexer, &error);
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

/* True if from @at to the end of the text there are only blanks and ends of lines. */
static bool lexer_has_nothing_after(const struct lexer *lexer, const char *at) {
    while (at < lexer->end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
        at++;
    return at == lexer->end;
}

/* A file that ends so may be the beginning of one: the rest of a deny rule may be missing. */
static const char nothing_follows[] =
    "this backslash continues the line, but nothing follows: remove it, or add the missing line";

static void lexer_skip_blanks(struct lexer *lexer) {
    for (;;) {
        if (lexer_is_at(lexer, ' ') || lexer_is_at(lexer, '\t')) {
            lexer->at++;
        } else if (lexer->end - lexer->at >= 2 && lexer->at[0] == '\\' && lexer->at[1] == '\n') {
            if (lexer_has_nothing_after(lexer, lexer->at + 1))
                lexer_fail(lexer, lexer->line, lexer_get_column(lexer), nothing_follows);
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

/* Describes the error of a backslash; the lexer is at the byte after it. */
static const char *lexer_explain_backslash(const struct lexer *lexer, bool is_quoted) {
    const char *at = lexer->at;

    if (!is_quoted && lexer_has_nothing_after(lexer, at))
        return nothing_follows;
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

/*
 * Reports the error of a backslash or # in @word, before the lexer, if the word is a name of other
 * languages: CORP\alice, %#1000. Returns false, and reports nothing, if it is not.
 */
static bool lexer_fail_at_name(struct lexer *lexer, const struct word *word, unsigned column) {
    const char *begin = lexer->line_start + word->column - 1 + word->is_quoted;
    const char *name = lexer->at;
    ptrdiff_t before = lexer->at - 1 - begin, after = 0;
    bool is_id = lexer->at[-1] == '#';

    if (!is_id && lexer_is_at(lexer, '\\'))
        name++;
    while (after < lexer->end - name && name_char_is_alphanumeric(name[after]))
        after++;
    /* A single letter is more often a class of a regular expression, such as \d. */
    if (after < (is_id ? 1 : 2) || before < 1 || before > 40 || after > 40)
        return false;
    if (is_id && (before > 1 || (*begin != '%' && *begin != '@')))
        return false;
    if (is_id)
        lexer_fail(lexer, lexer->line, column,
                   "# inside a word: for the id of a group write group %.*s", (int)after, name);
    else
        lexer_fail(lexer, lexer->line, column,
                   "a backslash inside a word: for the name write \"%.*s\\\\%.*s\"", (int)before,
                   begin, (int)after, name);
    return true;
}

/* Reports a byte that no word can contain here, and skips it, so that parsing always ends. */
static enum word_kind lexer_reject_byte(struct lexer *lexer, const struct word *word) {
    unsigned column = lexer_get_column(lexer);
    const char *at = lexer->at++;

    if ((*at == '#' || *at == '\\') && lexer_fail_at_name(lexer, word, column))
        return WORD_BAD;
    if (*at == '"')
        lexer_fail(lexer, lexer->line, column, "a quote inside a word: quote the whole word");
    else if (*at == '#')
        lexer_fail(lexer, lexer->line, column,
                   "# inside a word: quote the word, or put a space before a comment");
    else if (*at == '\\')
        lexer_fail(lexer, lexer->line, column, "%s",
                   lexer_explain_backslash(lexer, word->is_quoted));
    else if (byte_hint_find(at, lexer->end) != NULL)
        lexer_fail(lexer, lexer->line, column, "%s", byte_hint_find(at, lexer->end));
    else
        lexer_fail(lexer, lexer->line, column, "byte 0x%02x is not printable ASCII",
                   (unsigned char)*at);
    /* The next line was meant to continue this one: it must not cause a second error. */
    if (*at == '\\') {
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

static enum word_kind lexer_read_bare_word(struct lexer *lexer, const struct word *word) {
    while (lexer->at < lexer->end && char_can_stand_bare(*lexer->at))
        *lexer->words++ = *lexer->at++;
    return lexer_is_at_word_end(lexer) ? WORD_TEXT : lexer_reject_byte(lexer, word);
}

static enum word_kind lexer_read_quoted_word(struct lexer *lexer, const struct word *word) {
    lexer->at++;
    while (lexer->at < lexer->end && *lexer->at != '"' && *lexer->at != '\n') {
        if (*lexer->at == '\\') {
            if (lexer->end - lexer->at < 2 || (lexer->at[1] != '"' && lexer->at[1] != '\\'))
                return lexer_reject_byte(lexer, word);
            lexer->at++;
        } else if (*lexer->at < ' ' || *lexer->at > '~') {
            return lexer_reject_byte(lexer, word);
        }
        *lexer->words++ = *lexer->at++;
    }
    if (!lexer_is_at(lexer, '"')) {
        lexer_fail(lexer, word->line, word->column, "this quote is not closed on this line");
        return WORD_BAD;
    }
    lexer->at++;
    if (lexer_is_at(lexer, '\r'))
        return lexer_reject_byte(lexer, word);
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
    word.kind =
        word.is_quoted ? lexer_read_quoted_word(lexer, &word) : lexer_read_bare_word(lexer, &word);
    *lexer->words++ = '\0';
    return word;
}

/* True if the comment of the logical line begins with a letter or digit, as the word #1000 does. */
bool lexer_has_word_as_comment(const struct lexer *lexer) {
    return lexer->comment != NULL && lexer->comment + 1 < lexer->end &&
           name_char_is_alphanumeric(lexer->comment[1]);
}

/* True if only blanks are before @word, the last word that was read, on its own line. */
bool lexer_word_begins_line(const struct lexer *lexer, const struct word *word) {
    const char *at = lexer->line_start;

    while (*at == ' ' || *at == '\t')
        at++;
    return at == lexer->line_start + word->column - 1;
}

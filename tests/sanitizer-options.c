/*
 * Linked into the broker of sanitizer builds only. The sanitizer's runtime is subject to the
 * session's filter and may make only the calls of the shipped broker: so the leak check at exit,
 * which makes others, is off. The broker does not free its memory before it exits.
 */

const char *__asan_default_options(void);

const char *__asan_default_options(void) {
    return "detect_leaks=0";
}

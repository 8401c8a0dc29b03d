/*
 * Says for which machine the compiler compiles. filter.cmake compiles this file and reads the
 * strings in the program, which never runs: it may be for another machine. They are arguments of
 * filter-table:
 *
 *    architecture  libseccomp's name of it (seccomp_arch_resolve_name(3));
 *    order         its byte order.
 */

#if defined(__x86_64__) && defined(__ILP32__)
#define ARCHITECTURE "x32"
#elif defined(__x86_64__)
#define ARCHITECTURE "x86_64"
#elif defined(__i386__)
#define ARCHITECTURE "x86"
#elif defined(__aarch64__)
#define ARCHITECTURE "aarch64"
#elif defined(__arm__)
#define ARCHITECTURE "arm"
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE "riscv64"
#elif defined(__s390x__)
#define ARCHITECTURE "s390x"
#elif defined(__s390__)
#define ARCHITECTURE "s390"
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCHITECTURE "ppc64le"
#elif defined(__powerpc64__)
#define ARCHITECTURE "ppc64"
#elif defined(__powerpc__)
#define ARCHITECTURE "ppc"
#elif defined(__loongarch64)
#define ARCHITECTURE "loongarch64"
#elif defined(__mips64) && defined(_ABI64) && defined(__MIPSEL__)
#define ARCHITECTURE "mipsel64"
#elif defined(__mips64) && defined(_ABI64)
#define ARCHITECTURE "mips64"
#elif defined(__mips__) && !defined(__mips64) && defined(__MIPSEL__)
#define ARCHITECTURE "mipsel"
#elif defined(__mips__) && !defined(__mips64)
#define ARCHITECTURE "mips"
#else
#define ARCHITECTURE "unknown"
#endif

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define ORDER "big"
#else
#define ORDER "little"
#endif

static const char architecture[] = "filter-table-architecture=" ARCHITECTURE ".";
static const char order[] = "filter-table-order=" ORDER ".";
/* Depends on both, so that no compiler leaves one out. */
int main(int argc, char **argv) {
    (void)argv;
    return architecture[argc % (int)sizeof(architecture)] + order[argc % (int)sizeof(order)];
}

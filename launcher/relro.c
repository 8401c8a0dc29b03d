/*
 * Makes memory read-only that the linker marked as read-only after relocation (GNU_RELRO). Only for
 * a static program with musl, which does not do it; glibc and each dynamic loader do.
 */

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden"))); /* the linker's */

/* Runs before main(). A failure is ignored: nothing here relies on this protection. */
__attribute__((constructor)) static void relro_protect(void) {
    const char *base = (const char *)&__ehdr_start;
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)(base + __ehdr_start.e_phoff);
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    for (size_t i = 0; i < __ehdr_start.e_phnum; i++) {
        uintptr_t begin = (uintptr_t)base + headers[i].p_vaddr;
        uintptr_t end = begin + headers[i].p_memsz;

        if (headers[i].p_type == PT_GNU_RELRO)
            (void)mprotect((void *)(begin & -page), (end & -page) - (begin & -page), PROT_READ);
    }
}

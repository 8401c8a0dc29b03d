/*
 * For a static program with musl, which leaves writable what the linker marked to be read-only once
 * it is relocated (GNU_RELRO); glibc, and any dynamic loader, protect it by themselves.
 */

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden"))); /* the linker's */

/* Before main(). That it fails is no reason not to run: nothing here relies on it. */
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

/*
 * Runs a fuzz target over the files (and the files in the folders) that it is given: its seeds and what once crashed it
 * are regression tests in every build, without libFuzzer.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int run_file(const char *path, size_t size)
{
    FILE *f = fopen(path, "r");
    uint8_t *data = malloc(size ? size : 1);
    if (!f || !data || fread(data, 1, size, f) != size) {
        fprintf(stderr, "cannot read %s\n", path);
        return -1;
    }
    fclose(f);
    printf("%s: %zu bytes\n", path, size);
    fflush(stdout);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

/* Returns the number of files run, or -1. */
static int run_path(const char *path, bool inside)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        fprintf(stderr, "cannot find %s\n", path);
        return -1;
    }
    if (S_ISREG(st.st_mode))
        return run_file(path, (size_t)st.st_size);
    struct dirent **names;
    int n = inside ? 0 : scandir(path, &names, NULL, alphasort);
    int ran = 0;
    for (int i = 0; i < n; i++) {
        char child[1024];
        snprintf(child, sizeof(child), "%s/%s", path, names[i]->d_name);
        int r = ran < 0 || names[i]->d_name[0] == '.' ? 0 : run_path(child, true);
        ran = r < 0 ? -1 : ran + r;
        free(names[i]);
    }
    if (n > 0)
        free(names);
    return n < 0 ? -1 : ran;
}

int main(int argc, char **argv)
{
    int ran = 0;
    for (int i = 1; i < argc; i++) {
        int r = run_path(argv[i], false);
        if (r < 0)
            return 1;
        ran += r;
    }
    if (ran == 0)
        fprintf(stderr, "no input: give seed files or folders of them\n");
    return ran == 0;
}

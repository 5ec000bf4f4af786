/* Many files finished at once. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "outfile.h"

#define N 40

Test(outfile_all, every_file_appears_whole_and_only_then)
{
	char dir[] = "/tmp/etlift-test-XXXXXX", path[600], name[32];
	struct outfile *f[N];
	struct outdir *d;
	struct stat st;

	cr_assert(mkdtemp(dir) != NULL);
	cr_assert_eq(outdir_open(&d, dir, false, NULL), 0);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "s/%02d", i);
		cr_assert_eq(outfile_create(&f[i], d, name, NULL), 0);
		cr_assert_eq(outfile_write(f[i], name, strlen(name), NULL), 0);
		snprintf(path, sizeof(path), "%s/%s", dir, name);
		cr_assert_neq(stat(path, &st), 0);
	}
	/* One of them can't appear: a folder stands in its place. */
	snprintf(path, sizeof(path), "%s/s/07", dir);
	cr_assert_eq(mkdir(path, 0700), 0);
	cr_assert_eq(outfile_commit_all(f, N, 6, NULL), ERR_IO);
	cr_assert_eq(rmdir(path), 0);
	for (int i = 0; i < N; i++) {
		snprintf(path, sizeof(path), "%s/s/%02d", dir, i);
		cr_assert_eq(stat(path, &st) == 0 && st.st_size == 4, i != 7, "file %d", i);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/s", dir);
	cr_assert_eq(rmdir(path), 0, "something is left");
	cr_assert_eq(rmdir(dir), 0);
	outdir_close(d);
}

Test(outfile_all, none)
{
	cr_assert_eq(outfile_commit_all(NULL, 0, 4, NULL), 0);
}

/* Whole folders that take the place of others, and locks between processes. */
#include <criterion/criterion.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "outtree.h"

static void put(struct outdir *d, const char *rel, const char *text)
{
	struct outfile *f;

	cr_assert_eq(outfile_create(&f, d, rel, NULL), 0);
	cr_assert_eq(outfile_write(f, text, strlen(text), NULL), 0);
	cr_assert_eq(outfile_commit(f, NULL), 0);
}

static bool there(const char *dir, const char *rel)
{
	char path[600];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dir, rel);
	return lstat(path, &st) == 0;
}

Test(outtree, a_folder_takes_the_place_of_another)
{
	char dir[] = "/tmp/etlift-test-XXXXXX";
	struct outdir *d;

	cr_assert(mkdtemp(dir) != NULL);
	cr_assert_eq(outdir_open(&d, dir, false, NULL), 0);
	put(d, "to/old/a", "old");
	put(d, ".old-to/b", "left by a run that was killed in between");
	put(d, "from/new", "new");
	cr_assert_eq(outtree_commit(d, "from", "to", NULL), 0);
	cr_assert(there(dir, "to/new") && !there(dir, "to/old") && !there(dir, "from") && !there(dir, ".old-to"));
	cr_assert_eq(outtree_commit(d, "from", "to", NULL), ERR_IO);
	cr_assert(there(dir, "to/new"), "nothing to put there: what is there stays");
	cr_assert_eq(outtree_remove(d, "../x", NULL), ERR_USAGE);
	cr_assert_eq(outtree_remove(d, "to", NULL), 0);
	outdir_close(d);
	cr_assert_eq(rmdir(dir), 0);
}

Test(outtree, one_process_at_a_time, .timeout = 20)
{
	char dir[] = "/tmp/etlift-test-XXXXXX";
	struct outdir *d;
	struct err e;
	int fd, status, ready[2];
	char byte;
	pid_t pid;

	cr_assert(mkdtemp(dir) != NULL);
	cr_assert_eq(outdir_open(&d, dir, false, NULL), 0);
	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) { /* holds it until it is killed */
		fd = outtree_lock(d, ".lock-x", 0, NULL);
		if (fd < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(2);
	}
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	cr_assert_eq(outtree_lock(d, ".lock-x", 60, &e), ERR_EXISTS);
	kill(pid, SIGKILL);
	fd = outtree_lock(d, ".lock-x", 10000, &e);
	cr_assert_geq(fd, 0, "the lock of a process that was killed is free");
	waitpid(pid, &status, 0);
	cr_assert_eq(outtree_lock(d, ".lock-x", 0, &e), ERR_EXISTS, "not even for the same process");
	outtree_unlock(d, ".lock-x", fd);
	cr_assert(!there(dir, ".lock-x"));
	fd = outtree_lock(d, ".lock-x", 0, &e);
	cr_assert_geq(fd, 0);
	outtree_unlock(d, ".lock-x", fd);
	close(ready[0]);
	close(ready[1]);
	outdir_close(d);
	cr_assert_eq(rmdir(dir), 0);
}

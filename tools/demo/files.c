// SPDX-License-Identifier: GPL-2.0
/*
 * files.c - finds something to compress
 *
 * Breadth first, by name, the largest few of each folder: the choice is the same for the
 * same tree, varied, and made after looking at a small part of it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "demo.h"

#define MIN_SIZE	(100 << 10)
#define MAX_SIZE	(6 << 20)
#define FROM_A_FOLDER	2
#define LOOKS_IN_FOLDER	200		/* a stat() is slow in a guest */

struct search {
	struct file *files;
	size_t n, found;
	char **folders;			/* those still to be read */
	size_t nr_folders, room;
};

static int add_folder(struct search *s, const char *path)
{
	char **more;

	if (s->nr_folders == s->room) {
		s->room = s->room ? s->room * 2 : 64;
		more = reallocarray(s->folders, s->room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		s->folders = more;
	}
	s->folders[s->nr_folders] = strdup(path);
	return s->folders[s->nr_folders++] ? 0 : -ENOMEM;
}

static int add_file(struct search *s, const char *path, uint64_t size)
{
	struct file *f = &s->files[s->found];
	char *c;

	f->path = strdup(path);
	f->name = strdup(strrchr(path, '/') + 1);
	f->size = size;
	s->found++;			/* whatever there is, files_free() frees */
	if (!f->path || !f->name)
		return -ENOMEM;
	for (c = f->name; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return 0;
}

/* The same name twice would be hard to tell apart. */
static bool has_name(const struct search *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->found; i++)
		if (!strcmp(s->files[i].name, name))
			return true;
	return false;
}

/* How large it is; 0: not what we look for. */
static uint64_t usable_size(const struct search *s, int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
		return 0;
	if (st.st_size < MIN_SIZE || st.st_size > MAX_SIZE)
		return 0;
	if (has_name(s, name) || faccessat(dir, name, R_OK, 0))
		return 0;
	return st.st_size;
}

/* Of a folder's entries: remembers folders, takes the largest files. */
static int look_through(struct search *s, const char *folder, int dir, struct dirent **list,
			int n)
{
	struct {
		const char *name;
		uint64_t size;
	} best[FROM_A_FOLDER] = { 0 };
	unsigned int looks = 0, k;
	char path[PATH_MAX];
	int i, ret = 0;

	for (i = 0; i < n && !ret; i++) {
		const char *name = list[i]->d_name;
		uint64_t size = 0;

		if (name[0] == '.')
			continue;
		if (list[i]->d_type == DT_DIR) {
			snprintf(path, sizeof(path), "%s/%s", folder, name);
			ret = add_folder(s, path);
		} else if (list[i]->d_type == DT_REG && looks++ < LOOKS_IN_FOLDER) {
			size = usable_size(s, dir, name);
		}
		for (k = 0; k < FROM_A_FOLDER && size <= best[k].size; k++)
			;
		if (k == FROM_A_FOLDER)
			continue;
		memmove(&best[k + 1], &best[k], (FROM_A_FOLDER - 1 - k) * sizeof(best[0]));
		best[k].name = name;
		best[k].size = size;
	}
	for (k = 0; k < FROM_A_FOLDER && best[k].name && s->found < s->n && !ret; k++) {
		snprintf(path, sizeof(path), "%s/%s", folder, best[k].name);
		ret = add_file(s, path, best[k].size);
	}
	return ret;
}

static int look_into(struct search *s, const char *folder)
{
	struct dirent **list;
	int dir, i, n, ret = 0;

	dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 0;		/* not for us: the next one */
	n = scandir(folder, &list, NULL, alphasort);
	if (n >= 0) {
		ret = look_through(s, folder, dir, list, n);
		for (i = 0; i < n; i++)
			free(list[i]);
		free(list);
	}
	close(dir);
	return ret;
}

int files_find(struct file *files, size_t n, const char *dir)
{
	struct search s = { .files = files, .n = n };
	size_t i;
	int ret;

	ret = access(dir, R_OK | X_OK) ? -errno : add_folder(&s, dir);
	for (i = 0; i < s.nr_folders && !ret && s.found < n; i++)
		ret = look_into(&s, s.folders[i]);
	for (i = 0; i < s.nr_folders; i++)
		free(s.folders[i]);
	free(s.folders);
	if (ret < 0) {
		files_free(files, s.found);
		return ret;
	}
	return s.found;
}

void files_free(struct file *files, size_t n)
{
	while (n--) {
		free(files[n].path);
		free(files[n].name);
	}
}

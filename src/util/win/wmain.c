/* wmain.c - where a program starts on Windows: words in UTF-8, a console that shows it, files without CR LF, a crash without a dialog. */
#include "winpath.h"

#undef main
#undef signal

int _dowildcard = -1; /* cmd.exe leaves *.etl as it is: the C library puts in what fits */

static UINT code_page; /* of the console, as it was */

static void restore(void)
{
	if (code_page)
		SetConsoleOutputCP(code_page);
}

/* The C library's abort() would end with status 3, which means something else here. */
static void on_abort(int sig)
{
	(void)sig;
	TerminateProcess(GetCurrentProcess(), 0xC0000409);
}

/* Colours are escape sequences, which a console does when it is told to. Without TERM there are none (cli/main.c). */
static void set_console(void)
{
	static const DWORD out[] = {STD_OUTPUT_HANDLE, STD_ERROR_HANDLE};
	bool can = false;
	DWORD mode;

	for (size_t i = 0; i < 2; i++) {
		HANDLE h = GetStdHandle(out[i]);

		if (!GetConsoleMode(h, &mode))
			continue;
		if (!code_page) {
			code_page = GetConsoleOutputCP();
			SetConsoleOutputCP(CP_UTF8);
			atexit(restore);
		}
		can = SetConsoleMode(h, mode | ENABLE_PROCESSED_OUTPUT | ENABLE_VIRTUAL_TERMINAL_PROCESSING) || can;
	}
	if (can && !getenv("TERM"))
		_putenv("TERM=windows");
}

int wmain(int argc, wchar_t **argv)
{
	char **word = calloc((size_t)argc + 1, sizeof(*word));

	for (int i = 0; word && i < argc; i++)
		if (!(word[i] = win_utf8(argv[i])))
			word = NULL;
	if (!word) {
		fputs("etlift: out of memory\n", stderr);
		return 1;
	}
	SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
	signal(SIGABRT, on_abort);
	for (int fd = 0; fd < 3; fd++)
		_setmode(fd, _O_BINARY);
	set_console();
	return etlift_main(argc, word);
}

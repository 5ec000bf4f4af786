/* recipe.h - the text that says what stands in the memory to be made: a statement a line, KEY=VALUE words behind it, numbers as C writes
 * them, `#` a comment. docs/testing.md explains every word.
 *
 *   machine arch= build= version= mib= hole= cpus= seed= handles= stub= encoded= large= decoys= levels= bias= freq= time= foreign= kpti=
 *           hint=kernel|process|user|none globals= kdbg= etwdata= future= pe_time= pe_size= pte_mask= trimmed= pagefile= selfmap= headers=
 *           kuser= nt_major= nt_minor=
 *   process pid= name= wow64= silo=        container (a further silo; numbers count from 1)
 *   session silo= id= name= mode= clock= size= table= nodes= lost_events= lost_buffers= name_lost= tail_lost= fill_name= payload=FILE.etl dns=NAME|NAME
 *           unreachable= tag= straddle=
 *     buffer form=unused|logging|reused|flushed|full|torn|placeholder|cswitch|flushing|pending|stands_for cpu= ways=global,queue,...
 *            events= old= tear=RECORD row=NUMBER repeat=
 *     consumer pid=      copy pid= of=|events=
 *     lose buffer= page= how=gone|transition|swizzled|prototype|proto_transition|pagefile
 *     damage forward=|backward=|loop=BUFFER, tail=1, buffer= off= value= size=, field=MEMBER off= value= size=, slot= silo= value=,
 *            table=SILO, process=PID, handles=PID
 *     expect what=LOSS at=BUFFER off= session= none=1 (of no session) of=queue (only where there is one)
 *     stopped mapped=0|1 context=0|1      the session is gone; nothing stands behind this in it but:
 *     private pid= context=0|1            as stopped: of a logger in this process
 *     cached header=0|1 flag= mapped=0|1  as stopped: pages of its .etl file (flag=0x10: of a real-time backup)
 *     overwrite buffer= page= with=zeros|text|code
 *   provider guid= pid= silo= sessions=2,3 level= any= all= group=GUID is_group=
 * In a name, %HHHH is a UTF-16 unit. */
#ifndef ETLIFT_RECIPE_H
#define ETLIFT_RECIPE_H

#include "winimg.h"

struct recipe { /* one being followed */
	struct winimg w;
	bool started, tied;
	bool skip; /* the present session is in a container and this kernel knows none, or has no slots for it */
	struct wi_session *s;
	unsigned build;      /* instead of the recipe's; 0: as it says */
	const char *version; /* likewise, or NULL */
	const char *arch;    /* likewise, or NULL */
	uint64_t mib, hole;
	bool pagefile; /* the reader will get the pagefile */
};

void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void recipe_line(struct recipe *r, const char *line); /* ends the program with what is wrong */
void recipe_end(struct recipe *r);

#endif

#!/usr/bin/env bash
# Field values of events that responders ask for, in the real traces, as they are known from the traces' origin: DNS servers, HTTP requests, PowerShell
# commands, process starts, image loads, the file's header, the machine's configuration, the legacy event log.
set -u
[ -n "$DATA" ] || { echo "needs the shared data"; exit 77; }
cd "$SCRATCH" || exit 1
fail=0
n=0
same() { # WHAT WANTED GOT
	n=$((n + 1))
	[ "$2" = "$3" ] || { echo "$1:"; diff <(echo "$2") <(echo "$3") | head -8; fail=1; }
}
events() { "$ETLIFT" events "$@" 2>/dev/null; }
E="$DATA/etl"
same "DNS servers" '["Ethernet",1,"17000000000000002001489800000000000000001050105000000000","svchost.exe"]
["Ethernet",2,"17000000000000002001489800000000000000001050505000000000","svchost.exe"]
["Ethernet",3,"020000000a320a320000000000000000","svchost.exe"]
["Ethernet",4,"020000000a3232320000000000000000","svchost.exe"]' \
	"$(events "$E/perfview-net.4.5.2.x64.etl" --provider Microsoft-Windows-DNS-Client --event 1001 | jq -c '[.data.Interface,.data.Index,.data.Address,.process_name]' | head -4)"
events "$E/tx-HTTP_Server.etl" -o http.jsonl
same "HTTP requests" '["http://georgis2:80/windir.txt","0xfffffa80037c4530",4]
["http://georgis2:80/helloworld.htm","0xfffffa8004020530",4]
["http://georgis2:80/helloworld.htm","0xfffffa8004cb0530",4]' "$(jq -c 'select(.event.id==2)|[.data.Url,.data.RequestObj,.data.HttpVerb]' http.jsonl | head -3)"
same "HTTP connections" '["[2001:4898:0:fff:0:5efe:a78:109d]:80","[2001:4898:0:fff:0:5efe:a50:e410]:37837"]
["[2001:4898:0:fff:0:5efe:a78:109d]:80","[2001:4898:0:fff:0:5efe:a50:e410]:37838"]' "$(jq -c 'select(.event.id==21)|[.data.LocalAddr,.data.RemoteAddr]' http.jsonl | head -2)"
same "HTTP answers" '[200,"GET",165]' "$(jq -c 'select(.event.id==4)|[.data.StatusCode,.data.Verb,.data.HeaderLength]' http.jsonl | head -1)"
events "$E/krabsetw-powershell.etl" -o ps.jsonl
same "PowerShell console" '[40961,{}]
[40962,{}]' "$(jq -c 'select(.event.id==40961 or .event.id==40962)|[.event.id,.data]' ps.jsonl)"
same "PowerShell pipe" '{"param1":"16040","param2":"DefaultAppDomain"}' "$(jq -c 'select(.event.id==53504).data' ps.jsonl)"
same "PowerShell commands" "$(jq -r 'select(.event.id==7937).data.ContextInfo' ps.jsonl | grep -c 'Host Version = 5.1.22621.436')" "$(jq -c 'select(.event.id==7937)' ps.jsonl | wc -l)"
same "PowerShell names of commands" '     10         Command Name = logman.exe
     14         Command Name = prompt' "$(jq -r 'select(.event.id==7937).data.ContextInfo' ps.jsonl | tr -d '\r' | grep -E 'Command Name = (logman.exe|prompt)$' | LC_ALL=C sort | uniq -c)"
events "$E/tx-Process.etl" --event 1 -o start.jsonl
same "process starts" '0 without a name' "$(jq -c 'select(.data.ImageName==null or .data.ImageName=="" or .data.ProcessID==null or .data.ParentProcessID==null)' start.jsonl | wc -l) without a name"
same "image loads" '0 without a name' "$(events "$E/tx-Process.etl" --event 5 | jq -c 'select(.data.ImageName==null or .data.ImageName=="")' | wc -l) without a name"
same "images of the kernel's list" '0 without a name' "$(events "$E/perfview-net.4.5.2.x64.etl" | jq -c 'select((.event.name//"")|startswith("Image/"))|select((.event.name|test("KernelImageBase|HypercallPage")|not) and (.data.FileName//"")=="")' | wc -l) without a name"
same "header" '[20348,8,"0x4010001",2594,"2024-06-10T20:18:27.9225833Z"]' \
	"$(events "$E/demikernel-PktMon.etl" | head -1 | jq -c '[.data.ProviderVersion,.data.PointerSize,.data.LogFileMode,.data.CpuSpeedInMHz,.data.StartTime]')"
events "$E/perfview-diaghub.kernel.1.etl" -o diaghub.jsonl
same "CPU" '[2295,4,16384,"liha-test","redmond.corp.microsoft.com"]' "$(jq -c 'select(.event.name=="SystemConfig/CPU").data|[.MHz,.NumberOfProcessors,.MemSize,.ComputerName,.DomainName]' diaghub.jsonl)"
same "network interface" '["000d3afb40070000","Microsoft Hyper-V Network Adapter"]' "$(jq -c 'select(.event.name=="SystemConfig/NIC").data|[.PhysicalAddr,.NICDescription]' diaghub.jsonl | head -1)"
same "disks" '["C:","NTFS",0]
["D:","NTFS",1]' "$(jq -c 'select(.event.name=="SystemConfig/LogDisk").data|[.DriveLetterString,.FileSystem,.DiskNumber]' diaghub.jsonl | head -2)"
same "legacy event log" '["VfpExt","0x40001b7c",["","Driver load start"]]
["VfpExt","0x40001b7c",["","Driver load complete"]]
["VMnetAdapter","0x40080024",[""]]
["VBoxNetLwf","0xc004000c",["\\Device\\VBoxNetLwf"]]' "$(events "$DATA/triage/triage_x64.dmp" --provider LegacyEventLog | jq -c '[.data.SourceName,.data.EventId,.data.Strings]')"
echo "$n sets of values"
exit $fail

"""Runs the same work through several reverse proxies in one session, in turns, and compares them.

machine      what the kernel says about processes; starting and ending them
tools        which programs are needed, where they are, and building our own
contender    one proxy: its configuration, its process, its addresses
bench        the session: certificate, origin server, contenders
load         runs wrk, h2load and loadkit and reads what they print
cases        the kinds of work
comparison   the rounds
report       the tables
reloads      the same clients before, during and after configuration reloads
instructions user-mode instructions per request, counted by valgrind

Python 3.9 or later, standard library only, Linux only. Everything stays on the loopback interface.
"""

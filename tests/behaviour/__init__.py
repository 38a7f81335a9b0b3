"""The command as a user meets it: started as a process, against a Hub on the loopback, with faults."""

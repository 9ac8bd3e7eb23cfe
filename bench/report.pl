#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
#
# For bench/profile: FOLDER with samples (of the plugin), counts (JSON lines of the bench) and symbols (kallsyms); the
# module and the program with their debug information; how many lines to print at the most.
use strict;
use warnings;
no warnings 'portable';

my ($dir, $module, $program, $max) = @ARGV;
my $kernel_at = 1 << 47;

# A line of counts belongs to each section of samples, but for those that are not of whole passes.
open my $counts, '<', "$dir/counts" or die "counts: $!";
my @counts = grep { /"calls":/ } <$counts>;

# Where a program that is not randomised is loaded.
my %base = (program => 0x555555554000);
my %object = (module => $module, program => $program);

# Functions by address; of several at one address the first is kept.
my %at;
open my $symbols, '<', "$dir/symbols" or die "symbols: $!";
while (<$symbols>) {
	my ($address, $type, $name, $mod) = split;
	next unless $type =~ /[tTwW]/ or $name =~ /^asm_|entry/;
	$address = hex $address;
	$at{$address} //= $mod ? "$name $mod" : $name if $address >= $kernel_at;
}
for (qx(nm $program)) {
	$at{$base{program} + hex $1} //= "$2 [user]" if /^(\w+) [tTwW] (\S+)$/;
}
my @address = sort { $a <=> $b } keys %at;

# A function of the module, here and there, says where its .text is.
my %in_module = map { /^(\w+) T (aop_\w+)$/ ? ($2 => hex $1) : () } qx(nm $module);
for (@address) {
	next unless $at{$_} =~ /^(\w+) \[aop\]$/ and defined $in_module{$1};
	$base{module} = $_ - $in_module{$1};
	last;
}

sub function {
	my $address = shift;
	my ($low, $high) = (0, scalar @address);
	while ($high - $low > 1) {
		my $middle = ($low + $high) >> 1;
		if ($address[$middle] <= $address) { $low = $middle } else { $high = $middle }
	}
	return '(libraries)' if $address < $kernel_at and $address - $address[$low] > 1 << 20;
	return $at{$address[$low]};
}

my %line;
sub find_lines {
	my ($what, @addresses) = @_;
	my @got;
	my @want = map { sprintf '0x%x', $_ - $base{$what} } @addresses;
	push @got, qx(addr2line -j .text -e $module @{[splice @want, 0, 500]}) while @want and $what eq 'module';
	push @got, qx(addr2line -e $program @{[splice @want, 0, 500]}) while @want;
	@line{@addresses} = map { s/ \(disc.*//r =~ s/\s+$//r =~ s{^.*/((?:kmod|lib|bench|selftests|include|arch)/)}{$1}r } @got;
}

# What was executed of the module, instruction by instruction.
my @listing = qx(objdump -d -l --no-show-raw-insn -j .text $module);
sub annotate {
	my ($file, $samples, $n) = @_;
	my ($function, $line, $shown) = ('', '', '');
	open my $out, '>', $file or die "$file: $!";
	for (@listing) {
		if (/^[0-9a-f]+ <(.*)>:/) {
			$function = $1;
		} elsif (m{^/.*/((?:kmod|include|arch)/\S+:\d+)}) {
			$line = $1;
		} elsif (/^\s+([0-9a-f]+):\s+(.*)/) {
			my $s = $samples->{hex($1) + $base{module}} or next;
			print $out "\n$function\n" if $shown ne $function;
			$shown = $function;
			printf $out "%9.2f  %-30s %s\n", $s->[0] / $n, $line, $2;
		}
	}
}

sub table {
	my ($title, $sums, $n, $note) = @_;
	my $shown = 0;
	print "   $title\n";
	for (sort { $sums->{$b} <=> $sums->{$a} || $a cmp $b } keys %$sums) {
		last if $shown++ >= $max or $sums->{$_} / $n < 0.5;
		printf "%9.1f  %s%s\n", $sums->{$_} / $n, $_, $note->($_);
	}
}

sub report {
	my ($section, $samples) = @_;
	my $c = $counts[$section];
	my (%sum, %locked, %lines, %part);
	my ($n) = $c =~ /"n":(\d+)/;
	my ($row, $who, $each) = $c =~ /"row":"([^"]*)".*"who":"([^"]*)".*"each":([\d.]+)/;
	my ($total, $total_locked) = (0, 0);

	for my $what (['module', qr/\[aop\]/], ['program', qr/\[user\]/]) {
		my @new = grep { !defined $line{$_} and function($_) =~ $what->[1] } keys %$samples;
		find_lines($what->[0], @new);
	}
	for (keys %$samples) {
		my ($count, $locked) = @{$samples->{$_}};
		my $function = function($_);
		$sum{$function} += $count;
		$locked{$function} += $locked;
		$total += $count;
		$total_locked += $locked;
		$lines{$line{$_}} += $count if defined $line{$_};
		$part{$function =~ /\[aop\]/ ? 'module' : $_ < $kernel_at ? 'user' : 'kernel'} += $count;
	}
	printf "== %s: %s: %.0f instructions (kernel %.0f, module %.0f, user %.0f), %.1f locked; the bench counted %.0f\n",
		$row, $who, $total / $n, map({ ($part{$_} // 0) / $n } qw(kernel module user)), $total_locked / $n, $each;
	if ($part{module}) {
		my $file = "$dir/$row-$section.s";
		annotate($file, $samples, $n);
		print "   every instruction of the module: $file\n";
	}
	table('functions', \%sum, $n, sub { $locked{$_[0]} ? sprintf ' (%.1f locked)', $locked{$_[0]} / $n : '' });
	table('lines of the module and the program', \%lines, $n, sub { '' });
	print "\n";
}

open my $f, '<', "$dir/samples" or die "samples: $!";
my ($section, %samples);
while (<$f>) {
	if (/^section (\d+)/) {
		report($section, \%samples) if defined $section;
		$section = $1;
		%samples = ();
		next;
	}
	my ($address, $count, $locked) = split;
	my $s = $samples{hex $address} //= [0, 0];
	$s->[0] += $count;
	$s->[1] += $count * $locked;
}
report($section, \%samples) if defined $section;

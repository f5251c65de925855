package main

import (
	"github.com/gophercloud/gophercloud"
	"github.com/gophercloud/gophercloud/openstack/messaging/v2/messages"
	"github.com/gophercloud/gophercloud/openstack/messaging/v2/queues"
	"github.com/gophercloud/gophercloud/pagination"
)

// Every function of openstack/messaging/v2/messages.
func talkOfMessages(client *gophercloud.ServiceClient) record {
	got := record{}
	ids := post(client, "letters", 25, 600)
	got["posted"] = len(ids)
	one := must(messages.Get(client, "letters", ids[3]).Extract())
	got["one"], got["found"] = one, one.ID == ids[3]

	got["own"] = jobs(client, messages.ListOpts{})
	got["listed"] = jobs(client, messages.ListOpts{Echo: true, Limit: 10})
	got["from"] = jobs(client, messages.ListOpts{Echo: true, Limit: 7, Marker: marker(client, 20)})
	several := must(messages.GetMessages(client, "letters", messages.GetMessagesOpts{IDs: ids[3:6]}).Extract())
	got["several"] = bodies(several)

	check(messages.DeleteMessages(client, "letters", messages.DeleteMessagesOpts{IDs: ids[3:6]}).ExtractErr())
	got["deleted"] = status(messages.Get(client, "letters", ids[4]).Err)
	gone := messages.GetMessagesOpts{IDs: ids[3:6]}
	got["all deleted"] = status(messages.GetMessages(client, "letters", gone).Err)
	check(messages.Delete(client, "letters", ids[6], messages.DeleteOpts{}).ExtractErr())
	check(messages.Delete(client, "letters", ids[6], nil).ExtractErr())

	popped := must(messages.PopMessages(client, "letters", messages.PopMessagesOpts{Pop: 4}).Extract())
	taken := []any{}
	for _, message := range popped {
		taken = append(taken, message.Body["job"])
	}
	got["popped"], got["first popped"] = taken, popped[0]
	got["left"] = jobs(client, messages.ListOpts{Echo: true})

	slow := queues.CreateOpts{QueueName: "slow", DefaultMessageDelay: 250, DefaultMessageTTL: 300}
	check(queues.Create(client, slow).ExtractErr())
	must(messages.Create(client, "slow", messages.BatchCreateOpts{
		{Body: map[string]any{"job": 1}},
		{Body: map[string]any{"job": 2}, Delay: 900, TTL: 1000},
	}).Extract())
	got["undelayed"] = jobsOf(client, "slow", messages.ListOpts{Echo: true})
	got["delayed"] = jobsOf(client, "slow", messages.ListOpts{Echo: true, IncludeDelayed: true})
	check(queues.Delete(client, "slow").ExtractErr())

	short := messages.BatchCreateOpts{{TTL: 1, Body: map[string]any{"job": 1}}}
	got["refused"] = status(messages.Create(client, "letters", short).Err)
	got["nothing"] = len(jobsOf(client, "nowhere", messages.ListOpts{Echo: true}))
	check(queues.Delete(client, "letters").ExtractErr())
	return got
}

// jobs are what the messages of the queue are about that gophercloud lists, page after page.
func jobs(client *gophercloud.ServiceClient, options messages.ListOpts) []any {
	return jobsOf(client, "letters", options)
}

func jobsOf(client *gophercloud.ServiceClient, queue string, options messages.ListOpts) []any {
	listed := []any{}
	check(messages.List(client, queue, options).EachPage(func(page pagination.Page) (bool, error) {
		some, err := messages.ExtractMessages(page)
		listed = append(listed, bodies(some)...)
		return true, err
	}))
	return listed
}

// marker is where a list goes on after so many messages, out of the `next` of the page before.
func marker(client *gophercloud.ServiceClient, count int) string {
	next := ""
	options := messages.ListOpts{Echo: true, Limit: count}
	check(messages.List(client, "letters", options).EachPage(func(page pagination.Page) (bool, error) {
		path, err := page.NextPageURL()
		next = query(path, "marker")
		return false, err
	}))
	return next
}

func bodies(of []messages.Message) []any {
	jobs := []any{}
	for _, message := range of {
		jobs = append(jobs, message.Body["job"])
	}
	return jobs
}

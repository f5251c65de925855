package main

import (
	"fmt"

	"github.com/gophercloud/gophercloud"
	"github.com/gophercloud/gophercloud/openstack/messaging/v2/messages"
	"github.com/gophercloud/gophercloud/openstack/messaging/v2/queues"
	"github.com/gophercloud/gophercloud/pagination"
)

// Every function of openstack/messaging/v2/queues.
func talkOfQueues(client *gophercloud.ServiceClient) record {
	got := record{}
	for n := 0; n < 5; n++ {
		made := queues.CreateOpts{QueueName: fmt.Sprintf("jobs-%d", n), DefaultMessageTTL: 3600}
		check(queues.Create(client, made).ExtractErr())
	}
	got["listed"] = queueNames(client, 2)
	detailed := queues.ListOpts{Marker: "jobs-3", Detailed: true}
	got["detailed"] = must(queues.ExtractQueues(must(queues.List(client, detailed).AllPages())))

	check(queues.Create(client, queues.CreateOpts{
		QueueName:                  "made",
		DeadLetterQueue:            "jobs-1",
		DeadLetterQueueMessagesTTL: 800,
		DefaultMessageDelay:        1,
		DefaultMessageTTL:          700,
		MaxClaimCount:              3,
		MaxMessagesPostSize:        2048,
		Extra:                      map[string]any{"description": "of gophercloud", "sizes": []int{1, 2}},
	}).ExtractErr())
	got["made"] = queue(client, "made")
	// One that there is keeps its metadata: 204 instead of 201.
	check(queues.Create(client, queues.CreateOpts{QueueName: "made", DefaultMessageTTL: 600}).ExtractErr())
	got["made again"] = queue(client, "made")

	changes := queues.BatchUpdateOpts{
		{Op: queues.AddOp, Path: "/metadata/owner", Value: "ada"},
		{Op: queues.AddOp, Path: "/metadata/_max_claim_count", Value: 10},
		{Op: queues.ReplaceOp, Path: "/metadata/_default_message_ttl", Value: 500},
	}
	got["updated"] = details(must(queues.Update(client, "made", changes).Extract()))
	// BuildRequestBody wants a value even where there is nothing to put.
	remove := queues.BatchUpdateOpts{{Op: queues.RemoveOp, Path: "/metadata/owner", Value: "-"}}
	got["removed"] = details(must(queues.Update(client, "made", remove).Extract()))
	got["removed again"] = status(queues.Update(client, "made", remove).Err)

	post(client, "made", 3, 300)
	got["stats"] = must(queues.GetStats(client, "made").Extract())
	purged := queues.PurgeOpts{
		ResourceTypes: []queues.PurgeResource{queues.ResourceMessages, queues.ResourceSubscriptions},
	}
	check(queues.Purge(client, "made", purged).ExtractErr())
	got["purged"] = must(queues.GetStats(client, "made").Extract())

	got["shared"] = must(queues.Share(client, "made", queues.ShareOpts{
		Paths:   []queues.SharePath{queues.PathMessages, queues.PathClaims, queues.PathSubscriptions},
		Methods: []queues.ShareMethod{queues.MethodGet, queues.MethodPost, queues.MethodPut, queues.MethodPatch},
		Expires: "2037-09-01T00:00:00",
	}).Extract())
	got["shared by default"] = must(queues.Share(client, "made", queues.ShareOpts{}).Extract())

	for n := 0; n < 5; n++ {
		check(queues.Delete(client, fmt.Sprintf("jobs-%d", n)).ExtractErr())
	}
	check(queues.Delete(client, "made").ExtractErr())
	// A queue that there is not has what every queue has by default: the first message makes it.
	got["deleted"] = queue(client, "made")
	got["refused"] = status(queues.Create(client, queues.CreateOpts{QueueName: "no", DefaultMessageTTL: 1}).Err)
	return got
}

// queueNames are the names of all queues, asked for so many at a time; 0: as the gateway likes.
func queueNames(client *gophercloud.ServiceClient, limit int) []string {
	names := []string{}
	check(queues.List(client, queues.ListOpts{Limit: limit}).EachPage(func(page pagination.Page) (bool, error) {
		listed, err := queues.ExtractQueues(page)
		for _, queue := range listed {
			names = append(names, queue.Name)
		}
		return true, err
	}))
	return names
}

// queue is a queue's metadata, with what gophercloud does not know among it.
func queue(client *gophercloud.ServiceClient, name string) record {
	return details(must(queues.Get(client, name).Extract()))
}

func details(of queues.QueueDetails) record {
	return record{"known": of, "extra": of.Extra}
}

// post puts so many messages into a queue, {"job": 0} to {"job": count - 1}; their ids.
func post(client *gophercloud.ServiceClient, queue string, count int, ttl int) []string {
	posted := messages.BatchCreateOpts{}
	for n := 0; n < count; n++ {
		posted = append(posted, messages.CreateOpts{TTL: ttl, Body: map[string]any{"job": n}})
	}
	ids := []string{}
	for _, path := range must(messages.Create(client, queue, posted).Extract()).Resources {
		ids = append(ids, last(path))
	}
	return ids
}
